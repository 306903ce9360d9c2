package smartlinks

import "hash/crc32"

// A checksum of the lines of many pieces follows from those of the pieces, without their lines: CRC-32 is the remainder of
// the text, read as a polynomial over GF(2), divided by a fixed one. Text that follows multiplies what came before by x to
// the power of its bits. Bits are reflected: the highest one stands for x⁰.

// one is the polynomial 1.
const one = uint32(1) << 31

// times multiplies two remainders.
func times(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		if a&one != 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= crc32.IEEE
		}
	}
	return product
}

// shift is x to the power of 8·n: what n bytes multiply by.
func shift(n int64) uint32 {
	power, square := one, one>>8
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			power = times(power, square)
		}
		square = times(square, square)
	}
	return power
}

// joined is the checksum of a text from those of its two halves and the length of the second.
func joined(first, second uint32, length int64) uint32 {
	return times(shift(length), first) ^ second
}
