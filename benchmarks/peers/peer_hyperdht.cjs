// HyperDHT (JavaScript on node.js, UDP), immutable records. Run by node with NODE_PATH at its own node_modules.
//
// Nodes are told that they are reachable and stay (`firewalled` and `ephemeral` off), as its own test network does: by
// itself a node would wait half an hour before it enters anybody's table. Everything else is as it comes, also the
// window of 80 requests that holds back whoever asks for much at a time.
//
// The verbs and their rows are those of every driver beside this file.
'use strict'

const crypto = require('crypto')
const { spawn } = require('child_process')
const readline = require('readline')
const DHT = require('hyperdht')

const PEER = { peer: 'hyperdht', version: require('hyperdht/package.json').version }
const DOES_NOT = [
  'encrypt requests of the DHT (its streams are)',
  'sign immutable records (mutable ones are signed)',
  'keep records on disk',
  'keep a record above 48 hours unless it is put again, nor hand it to nodes that come later',
  'keep more than 20 copies of a record',
  'send on while 80 requests are open: what is above waits'
]
const MEASURED = [
  'nodes are told that they are reachable and stay',
  'every value asked for once in a round: its window of 80 requests sets the pace of 32 in flight'
]
const HOST = '127.0.0.1'
const FIRST_PORT = 23000
const IN_FLIGHT = 32
const ROUNDS = 3
const PUTTERS = 8
const VALUE = 100
const CALL_MS = 10000
const END = Buffer.alloc(8, 0xff) // a message of a stream: the last one

const say = row => process.stdout.write(JSON.stringify(row) + '\n')
const now = () => Number(process.hrtime.bigint()) / 1e6
const cpu = () => { const used = process.cpuUsage(); return (used.user + used.system) / 1e3 }
const rounded = (number, digits) => Number(number.toFixed(digits))
const same = (one, other) => one !== null && Buffer.compare(one, other) === 0

function quantiles (times) {
  if (!times.length) return null
  const ranked = [...times].sort((a, b) => a - b)
  return [0.50, 0.95].map(part => rounded(ranked[Math.min(ranked.length - 1, Math.floor(ranked.length * part))], 3))
}

function within (promise, what) {
  let alarm
  const late = new Promise((resolve, reject) => {
    alarm = setTimeout(() => reject(new Error(`no end of the ${what} within ${CALL_MS / 1000} s`)), CALL_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(alarm))
}

// ---------------------------------------------------------------------------------------------------- one node

async function start (port, door) {
  const options = { host: HOST, ephemeral: false, firewalled: false }
  const node = door === null
    ? DHT.bootstrapper(port, HOST, options)
    : new DHT({ bootstrap: [{ host: HOST, port: door }], port, ...options })
  await node.fullyBootstrapped()
  return node
}

async function joined (nodes) {
  const everyone = [await start(FIRST_PORT, null)]
  while (everyone.length < nodes) everyone.push(await start(FIRST_PORT + everyone.length, FIRST_PORT))
  return everyone
}

async function put (node, value) {
  return (await within(node.immutablePut(value), 'put')).hash.toString('hex')
}

async function get (node, key) {
  try {
    const found = await within(node.immutableGet(Buffer.from(key, 'hex')), 'get')
    return found === null ? null : Buffer.from(found.value)
  } catch {
    return null // no node answered in time: nothing found, which is counted
  }
}

// Its own records are no part of its interface; only they tell a copy here from an answer of the network.
const holds = (node, key) => !!(node._persistent && node._persistent.immutables.get(key))

// ---------------------------------------------------------------------------------------------------- verbs

async function oneRound (asker, values, wanted) {
  const keys = [...wanted]
  const times = []
  let right = 0
  const before = cpu()
  const began = now()
  async function getter () {
    while (keys.length) {
      const key = keys.pop()
      const started = now()
      const value = await get(asker, key)
      times.push(now() - started)
      if (same(value, values.get(key))) right++
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, getter))
  const spent = cpu() - before
  return {
    gets_per_s: rounded(times.length / (now() - began) * 1e3, 1),
    cpu_ms_per_get: rounded(spent / Math.max(1, times.length), 4),
    slowest_ms: rounded(Math.max(0, ...times), 1),
    asked: times.length,
    right
  }
}

async function overlay (nodes, count) {
  const before = process.memoryUsage().rss
  const began = now()
  const everyone = await joined(Number(nodes))
  const building = (now() - began) / 1e3
  const kib = (process.memoryUsage().rss - before) / 1024 / everyone.length
  const values = new Map()
  const putTimes = []
  const getTimes = []
  let failed = 0
  for (let number = 0; number < Number(count); number++) {
    const value = crypto.randomBytes(VALUE)
    const started = now()
    let key
    try {
      key = await put(everyone[1 + number % PUTTERS], value)
    } catch {
      failed++
      continue
    }
    putTimes.push(now() - started)
    values.set(key, value)
  }
  const held = [...values.keys()].map(key => everyone.filter(node => holds(node, key)).length).sort((a, b) => a - b)
  const asker = everyone[everyone.length - 1]
  const wanted = [...values.keys()].filter(key => !holds(asker, key))
  let right = 0
  for (const key of wanted) {
    const started = now()
    if (same(await get(asker, key), values.get(key))) right++
    getTimes.push(now() - started)
  }
  const flight = []
  for (let round = 0; round < ROUNDS; round++) flight.push(await oneRound(asker, values, wanted))
  say({
    row: 'overlay',
    ...PEER,
    nodes: everyone.length,
    build_s: rounded(building, 3),
    kib_per_node: rounded(kib, 1),
    put_ms: quantiles(putTimes),
    get_ms: quantiles(getTimes),
    flight,
    in_flight: Math.min(IN_FLIGHT, wanted.length),
    copies: held[held.length >> 1],
    puts_failed: failed,
    in_turn: { asked: wanted.length, right }
  })
}

async function trouble (everyone, size) {
  const value = crypto.randomBytes(size)
  let key
  try {
    key = await put(everyone[1], value)
  } catch (error) {
    return `raises "${error.message}"`
  }
  const asker = everyone.findLast(node => !holds(node, key))
  return same(await get(asker, key), value) ? null : 'put without an error, but did not come back'
}

async function largest () {
  const everyone = await joined(32)
  let fits = 0
  let refused = 4096
  let how = await trouble(everyone, refused)
  if (how === null) throw new Error(`a value of ${refused} bytes goes: the search must begin above it`)
  while (refused - fits > 1) {
    const size = (fits + refused) >> 1
    const failed = await trouble(everyone, size)
    if (failed === null) fits = size
    else [refused, how] = [size, failed]
  }
  say({ row: 'largest', ...PEER, bytes: fits, refused, how })
}

// A second process of this file: resolves to what it says first and a way to end it.
function second () {
  const child = spawn(process.execPath, [__filename, 'serve'], { stdio: ['pipe', 'pipe', 'inherit'] })
  return new Promise(resolve => {
    readline.createInterface({ input: child.stdout }).once('line', line => {
      resolve({ told: JSON.parse(line), end: () => child.stdin.end() })
    })
  })
}

// Three nodes, one of which listens for streams: it counts their bytes until the message END, and answers the count.
async function serve () {
  process.stdin.on('end', () => process.exit(0)).resume()
  const everyone = await joined(3)
  const server = everyone[2].createServer(socket => {
    let seen = 0
    socket.on('data', data => {
      if (!data.equals(END)) {
        seen += data.length
        return
      }
      const count = Buffer.alloc(8)
      count.writeBigUInt64BE(BigInt(seen))
      socket.write(count)
    })
    socket.on('error', () => socket.destroy())
  })
  const keys = DHT.keyPair()
  await server.listen(keys)
  say({ port: FIRST_PORT, key: keys.publicKey.toString('hex') })
}

async function ping (seconds) {
  const other = await second()
  const node = await start(FIRST_PORT + 10, other.told.port)
  const to = { host: HOST, port: other.told.port }
  const began = now()
  let done = 0
  async function pinger () {
    while (now() < began + Number(seconds) * 1e3) {
      await node.ping(to)
      done++
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, pinger))
  say({ row: 'ping', ...PEER, per_s: rounded(done / (now() - began) * 1e3, 1), in_flight: IN_FLIGHT })
  other.end()
}

async function stream (seconds, size) {
  const other = await second()
  const node = await start(FIRST_PORT + 10, other.told.port)
  const socket = node.connect(Buffer.from(other.told.key, 'hex'))
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  const arrived = new Promise(resolve => socket.once('data', resolve))
  const message = Buffer.alloc(Number(size))
  const began = now()
  while (now() < began + Number(seconds) * 1e3) {
    // A message is encrypted where it stands, so that each needs bytes of its own.
    if (!socket.write(Buffer.from(message))) await new Promise(resolve => socket.once('drain', resolve))
  }
  socket.write(END)
  const bytes = Number((await arrived).readBigUInt64BE())
  const took = (now() - began) / 1e3
  const row = { size: message.length, per_s: rounded(bytes / message.length / took, 1) }
  say({ row: 'stream', ...PEER, ...row, mb_per_s: rounded(bytes / took / 1e6, 2) })
  other.end()
}

async function nodeVerb (port, door) {
  const node = await start(Number(port), door ? Number(door) : null)
  say({ ready: true })
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line)
    if (request.put) {
      say({ key: await put(node, Buffer.from(request.put, 'hex')) })
      continue
    }
    const held = holds(node, request.get)
    const started = now()
    const value = await get(node, request.get)
    say({ value: value && value.toString('hex'), ms: rounded(now() - started, 3), held })
  }
}

async function main () {
  const about = () => say({ ...PEER, does_not: DOES_NOT, measured: MEASURED, cannot: {} })
  const verbs = { overlay, ping, stream, largest, node: nodeVerb, serve, about }
  const [verb, ...rest] = process.argv.slice(2)
  if (!Object.hasOwn(verbs, verb)) throw new Error(`usage: peer_hyperdht.cjs ${Object.keys(verbs).join(' | ')} ...`)
  const parent = process.ppid
  setInterval(() => { if (process.ppid !== parent) process.exit(1) }, 500).unref()
  await verbs[verb](...rest)
  if (verb !== 'serve') process.exit(0)
}

main().catch(error => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})
