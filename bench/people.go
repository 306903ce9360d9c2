package bench

// nhsNumber makes a valid NHS number of a counter; ok is false for the one in eleven that has no check digit.
func nhsNumber(n int64) (number [10]byte, ok bool) {
	sum := 0
	n += 400_000_000
	for i := 8; i >= 0; i-- {
		digit := int(n % 10)
		n /= 10
		number[i] = byte('0' + digit)
		sum += digit * (10 - i)
	}
	check := (11 - sum%11) % 11
	number[9] = byte('0' + check)
	return number, check < 10
}

// name is a reference, or what tells a person from others: short texts without pointers, since a run keeps millions of them
// and the generator's own garbage collector must not read them again and again.
type name [16]byte

// nameOf is false of a text that is empty or does not fit.
func nameOf[T string | []byte](text T) (n name, ok bool) {
	return n, len(text) > 0 && copy(n[:], text) == len(text)
}

func (n name) String() string { return string(n[:]) }
