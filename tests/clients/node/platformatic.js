// @platformatic/kafka with its default settings; the contract is in ../src/lib.rs.
const { installed, main, records, text } = require('./lines.js')
const { Admin, Consumer, Producer } = installed('@platformatic/kafka')

const settings = (address) => ({ clientId: 'test', bootstrapBrokers: [address] })

async function create(address, topic, partitions) {
  const admin = new Admin(settings(address))
  await admin.createTopics({ topics: [topic], partitions: Number(partitions), replicas: 1 })
  await admin.close()
}

async function produce(address, topic) {
  const producer = new Producer({ ...settings(address), autocreateTopics: true })
  const data = (value) => (value === null ? undefined : Buffer.from(value))
  // One at a time: a send of many tells only the first offset of each partition.
  for (const { key, value, headers } of records()) {
    const pairs = headers.map(([name, content]) => [Buffer.from(name), Buffer.from(content)])
    const message = { topic, key: data(key), value: data(value), headers: new Map(pairs) }
    const { offsets } = await producer.send({ messages: [message] })
    console.log(JSON.stringify({ partition: offsets[0].partition, offset: Number(offsets[0].offset) }))
  }
  await producer.close()
}

// By the client's fetch: its stream of messages is only for members of a group.
async function consume(address, topic) {
  const consumer = new Consumer({ ...settings(address), groupId: 'none' })
  const { id: topicId, partitions } = (await consumer.metadata({ topics: [topic] })).topics.get(topic)
  const all = partitions.map((_, partition) => partition)
  const ends = (await consumer.listOffsets({ topics: [topic], partitions: { [topic]: all } })).get(topic)
  for (const partition of all) {
    for (let next = 0n; next < ends[partition]; ) {
      const asked = {
        partition,
        currentLeaderEpoch: -1,
        fetchOffset: next,
        lastFetchedEpoch: -1,
        partitionMaxBytes: 1_048_576
      }
      const request = { node: partitions[partition].leader, topics: [{ topicId, partitions: [asked] }] }
      const { responses } = await consumer.fetch(request)
      for (const batch of responses.flatMap((it) => it.partitions).flatMap((it) => it.records ?? [])) {
        for (const record of batch.records) {
          const offset = Number(batch.firstOffset) + record.offsetDelta
          const headers = record.headers.map(([name, content]) => [text(name), text(content)])
          const stored = { partition, offset, key: text(record.key), value: text(record.value), headers }
          console.log(JSON.stringify(stored))
        }
        next = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n
      }
    }
  }
  await consumer.close()
}

main({ create, produce, consume })
