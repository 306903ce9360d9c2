package people

// Numbers is how many people of one seed have NHS numbers of their own.
const Numbers = 50_000_000

// NHSNumber is the number of a person. Those that begin with 9 were never given to patients in England and Wales, whose
// numbers begin with 4, 6 or 7. People of one seed below Numbers never share one.
//
// Each person owns a pair of neighbours of a decade, whose first belongs to the place of n in a walk through all pairs: of two
// neighbours in a decade at most one has no check digit, since the check digit moves by two in eleven from one to the next.
func NHSNumber(seed, n uint64) string {
	const pairs = Numbers
	step := spread(seed)%(pairs/10)*10 + 3 // ends in 3, so it shares no factor with the pairs, which are 2s and 5s
	pair := (n%pairs*step + spread(seed+1)%pairs) % pairs
	for i := range uint64(2) {
		if number, ok := withCheckDigit(900_000_000 + 2*pair + i); ok {
			return number
		}
	}
	panic("people: neither of two neighbours has a check digit")
}

// withCheckDigit adds the tenth digit; false for the one number in eleven that has none.
func withCheckDigit(nine uint64) (string, bool) {
	var digits [10]byte
	sum := 0
	for i := 8; i >= 0; i-- {
		digit := int(nine % 10)
		nine /= 10
		digits[i] = byte('0' + digit)
		sum += digit * (10 - i)
	}
	check := (11 - sum%11) % 11
	digits[9] = byte('0' + check)
	return string(digits[:]), check < 10
}

// spread makes numbers without pattern of neighbours (SplitMix64).
func spread(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
