// @platformatic/kafka with its default settings; the contract is in ../src/lib.rs.
const { createRequire } = require('node:module')
const { readFileSync } = require('node:fs')
const { join } = require('node:path')

const installed = createRequire(join(__dirname, '../../../target/clients/node/package.json'))
const { Admin, Consumer, Producer, stringSerializers, stringDeserializers } = installed('@platformatic/kafka')

function settings(address) {
  return { clientId: 'test', bootstrapBrokers: [address] }
}

async function create(address, topic, partitions) {
  const admin = new Admin(settings(address))
  await admin.createTopics({ topics: [topic], partitions: Number(partitions), replicas: 1 })
  await admin.close()
}

async function produce(address, topic) {
  const producer = new Producer({ ...settings(address), serializers: stringSerializers, autocreateTopics: true })
  const messages = lines().map(({ key, value, headers }) => ({
    topic,
    key: key ?? undefined,
    value: value ?? undefined,
    headers: new Map(headers)
  }))
  // One at a time: a send of many tells only the first offset of each partition.
  for (const message of messages) {
    const { offsets } = await producer.send({ messages: [message] })
    console.log(JSON.stringify({ partition: offsets[0].partition, offset: Number(offsets[0].offset) }))
  }
  await producer.close()
}

async function consume(address, topic) {
  const consumer = new Consumer({ ...settings(address), groupId: 'none', deserializers: stringDeserializers })
  const ends = (await consumer.listOffsets({ topics: [topic] })).get(topic)
  console.error(ends)
  await consumer.close()
}

function lines() {
  return readFileSync(0, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line))
}

const [command, ...rest] = process.argv.slice(2)
const commands = { create, produce, consume }
commands[command](...rest).catch((error) => {
  console.error(error)
  process.exit(1)
})
