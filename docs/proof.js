// Proofs of work for `muster serve --limit-callers`, as a module worker: see abuse.md.
//
//   const worker = new Worker('proof.js', { type: 'module' })
//   worker.onmessage = ({ data }) => again({ Proof: data })
//   worker.postMessage(reply.headers.get('Challenge'))
//
// SHA-256 is written out, because a proof hashes many short texts one after the other, for which crypto.subtle is slow.

const primes = [2]
for (let n = 3; primes.length < 64; n += 2) if (primes.every(p => n % p)) primes.push(n)
const fraction = x => ((x - Math.floor(x)) * 2 ** 32) | 0
const K = Int32Array.from(primes, p => fraction(Math.cbrt(p)))
const H = Int32Array.from(primes.slice(0, 8), p => fraction(Math.sqrt(p)))
const w = new Int32Array(64)

// firstWord is the first word of the SHA-256 of an ASCII text of at most 55 characters, which is one block.
function firstWord(text) {
  w.fill(0, 0, 16)
  for (let i = 0; i < text.length; i++) w[i >> 2] |= text.charCodeAt(i) << (24 - 8 * (i & 3))
  w[text.length >> 2] |= 0x80 << (24 - 8 * (text.length & 3))
  w[15] = 8 * text.length
  for (let i = 16; i < 64; i++) {
    const a = w[i - 15], b = w[i - 2]
    w[i] = w[i - 16] + w[i - 7] + ((a >>> 7 | a << 25) ^ (a >>> 18 | a << 14) ^ a >>> 3) + ((b >>> 17 | b << 15) ^ (b >>> 19 | b << 13) ^ b >>> 10) | 0
  }
  let a = H[0], b = H[1], c = H[2], d = H[3], e = H[4], f = H[5], g = H[6], h = H[7]
  for (let i = 0; i < 64; i++) {
    const t = h + ((e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7)) + (e & f ^ ~e & g) + K[i] + w[i] | 0
    const u = ((a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10)) + (a & b ^ a & c ^ b & c) | 0
    h = g; g = f; f = e; e = d + t | 0; d = c; c = b; b = a; a = t + u | 0
  }
  return a + H[0] | 0
}

// prove answers the header Challenge, `CHALLENGE;bits=N`, with what the header Proof wants.
export function prove(header) {
  const [challenge, price] = header.split(';bits=')
  const zeros = Number(price) - 3
  if (challenge.length > 42 || !(zeros >= 0 && zeros <= 26)) throw new Error('not a challenge of this kind')
  const numbers = []
  for (let i = 0; i < 8; i++) {
    let n = 0
    while (Math.clz32(firstWord(`${challenge}.${i}.${n}`)) < zeros) n++
    numbers.push(n)
  }
  return `${challenge}:${numbers.join(',')}`
}

if (typeof self !== 'undefined' && typeof document === 'undefined') self.onmessage = ({ data }) => self.postMessage(prove(data))
