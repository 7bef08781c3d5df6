// What the scripts of both Node.js clients share.
const { createRequire } = require('node:module')
const { readFileSync } = require('node:fs')
const { join } = require('node:path')

// The clients are installed with the build, not beside these scripts.
exports.installed = createRequire(join(__dirname, '../../../target/clients/node/package.json'))

exports.records = () =>
  readFileSync(0, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

exports.text = (data) => (data == null ? null : data.toString())

exports.main = (commands) => {
  const [command, ...rest] = process.argv.slice(2)
  commands[command](...rest).catch((error) => {
    console.error(error)
    process.exit(1)
  })
}
