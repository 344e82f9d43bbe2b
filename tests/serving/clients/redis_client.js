// Redis clients of Node. Arguments: which, the port, JSON of names, and options as JSON.
const [which, port, names, options] = [process.argv[2], Number(process.argv[3]), JSON.parse(process.argv[4]), JSON.parse(process.argv[5])]

async function connected() {
  if (which === 'ioredis') {
    const Redis = require('ioredis')
    return new Redis({ port, host: '127.0.0.1', password: options.token })
  }
  const { createClient } = require('redis')
  const client = createClient({ socket: { port, host: '127.0.0.1' }, password: options.token })
  await client.connect()
  return client
}

async function main() {
  const client = await connected()
  const mget = (several) => (which === 'ioredis' ? client.mget(several) : client.mGet(several))
  const found = { answer: await client.get(names.answer), none: await client.get(names.none) }
  try {
    await client.get('nonsense')
  } catch (error) {
    found.nonsense = `${error.name}: ${error.message}`
  }
  found.mget = await mget([names.answer, names.none])
  const together = await Promise.all(Array.from({ length: 50 }, () => client.get(names.answer)))
  found.pipelined = [...new Set(together)]
  await client.quit()
  console.log(JSON.stringify(found))
}

main().catch((error) => { console.error(error); process.exit(1) })
