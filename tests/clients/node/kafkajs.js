// kafkajs with its default settings; the contract is in ../src/lib.rs. No `consume`: this client reads only as a
// member of a group.
process.env.KAFKAJS_NO_PARTITIONER_WARNING = '1'
const { installed, main, records } = require('./lines.js')
const { Kafka } = installed('kafkajs')

const client = (address) => new Kafka({ clientId: 'test', brokers: [address] })

async function create(address, topic, partitions) {
  const admin = client(address).admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: Number(partitions) }] })
  await admin.disconnect()
}

async function produce(address, topic) {
  const producer = client(address).producer()
  await producer.connect()
  // One at a time: a send of many tells only the first offset of each partition.
  for (const { key, value, headers } of records()) {
    const named = {}
    for (const [name, content] of headers) (named[name] ??= []).push(content)
    const [place] = await producer.send({ topic, messages: [{ key, value, headers: named }] })
    console.log(JSON.stringify({ partition: place.partition, offset: Number(place.baseOffset) }))
  }
  await producer.disconnect()
}

main({ create, produce })
