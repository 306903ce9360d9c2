package callers

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/keyring"
)

func limits(t testing.TB, o Options) *Limits {
	t.Helper()
	ours := allocator.NewSecret([]byte("one installation's secret"))
	o.Seals = ours.VisitorSeals()
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestTickets: a ticket is its visitor's for a day, on every server of the installation, and nothing else is one.
func TestTickets(t *testing.T) {
	l, other := limits(t, Options{}), limits(t, Options{})
	v := NewVisitor(noon)
	v.stand(ToHold, noon)
	ticket := l.Ticket(v)
	read := other.Visitor(ticket, noon.Add(time.Hour))
	if read == nil || *read != *v || !read.stands(ToHold, noon.Add(StandingLife-time.Second)) || read.stands(ToHold, noon.Add(StandingLife)) || read.stands(ToSearch, noon) {
		t.Errorf("read %+v, want %+v", read, v)
	}
	if l.Visitor(ticket, noon.Add(TicketLife+time.Second)) != nil {
		t.Error("an old ticket is good")
	}
	foreign, err := New(Options{})
	if err != nil || foreign.Visitor(ticket, noon) != nil {
		t.Error("a ticket is good at another installation")
	}
	ring := keyring.New(true)
	rotated := allocator.NewSecretWith([]byte("one installation's secret"), ring)
	later, err := New(Options{Seals: rotated.VisitorSeals()})
	if err != nil || later.Visitor(ticket, noon) == nil || l.Visitor(later.Ticket(v), noon) != nil {
		t.Error("tickets of a retired key are no good, or those of one that is not known are")
	}
	if l.opened(l.challenge(v, ToHold, 8, noon), ticketVersion, challengeBody, v.id[:]...) != nil {
		t.Error("a challenge is a ticket")
	}
	for i := range len(ticket) {
		for _, c := range "Ab-_9" {
			if forged := ticket[:i] + string(c) + ticket[i+1:]; forged != ticket && l.Visitor(forged, noon) != nil {
				t.Errorf("forged: %s", forged)
			}
		}
	}
	for _, text := range []string{"", ticket[1:], ticket + "A", strings.Repeat("A", len(ticket)), l.challenge(v, ToHold, 5, noon)} {
		if l.Visitor(text, noon) != nil {
			t.Errorf("%q is a ticket", text)
		}
	}
}

// TestProofs: a proof is good once, for its visitor and purpose, while its challenge is fresh.
func TestProofs(t *testing.T) {
	l, v, w := limits(t, Options{}), NewVisitor(noon), NewVisitor(noon)
	const bits = 9
	proof := func() string { return Solve(l.challenge(v, ToHold, bits, noon), bits) }
	good := proof()
	for name, c := range map[string]struct {
		of    *Visitor
		p     Purpose
		proof string
		at    time.Time
	}{
		"another visitor's":      {w, ToHold, proof(), noon},
		"for another purpose":    {v, ToSearch, proof(), noon},
		"too late":               {v, ToHold, proof(), noon.Add(ChallengeLife + time.Second)},
		"from the future":        {v, ToHold, proof(), noon.Add(-skew - time.Second)},
		"without numbers":        {v, ToHold, good[:strings.IndexByte(good, ':')], noon},
		"with one number less":   {v, ToHold, good[:strings.LastIndexByte(good, ',')], noon},
		"with a wrong number":    {v, ToHold, good + "0", noon},
		"with numbers of others": {v, ToHold, l.challenge(v, ToHold, bits, noon) + good[strings.IndexByte(good, ':'):], noon},
		"long":                   {v, ToHold, good + strings.Repeat("0", maxProofText), noon},
		"none":                   {v, ToHold, "", noon},
	} {
		if _, err := l.prove(c.of, c.p, c.proof, c.at); err == nil {
			t.Errorf("a proof %s is good", name)
		}
	}
	cheap := strings.Replace(good, good[:6], l.challenge(v, ToHold, 3, noon)[:6], 1)
	if _, err := l.prove(v, ToHold, cheap, noon); err == nil {
		t.Error("the price of a challenge can be changed")
	}
	if paid, err := l.prove(v, ToHold, good, noon.Add(time.Minute)); err != nil || paid != bits {
		t.Errorf("a good proof: %d, %v", paid, err)
	}
	if _, err := l.prove(v, ToHold, good, noon.Add(time.Minute)); err == nil {
		t.Error("a proof is good twice")
	}
}

// TestProofsTakeTheirWork: a proof of n bits takes about 2ⁿ hashes, and seldom much more.
func TestProofsTakeTheirWork(t *testing.T) {
	l, v := limits(t, Options{}), NewVisitor(noon)
	const bits, rounds = 10, 40
	total := 0
	for range rounds {
		proof := Solve(l.challenge(v, ToHold, bits, noon), bits)
		_, numbers, _ := strings.Cut(proof, ":")
		for number := range strings.SplitSeq(numbers, ",") {
			n, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			total += n + 1
		}
	}
	if mean := total / rounds; mean < 1<<bits*3/4 || mean > 1<<bits*5/4 {
		t.Errorf("a proof of %d bits took %d hashes on average", bits, mean)
	}
}

func FuzzTickets(f *testing.F) {
	l, v := limits(f, Options{}), NewVisitor(noon)
	ticket, challenge := l.Ticket(v), l.challenge(v, ToHold, 4, noon)
	f.Add(ticket, Solve(challenge, 4))
	f.Add("", ":")
	f.Add(challenge, challenge+":,,,,,,,")
	f.Fuzz(func(t *testing.T, given, proof string) {
		if got := l.Visitor(given, noon); got != nil && l.Ticket(got) != given {
			t.Errorf("%q is a ticket, and was never written", given)
		}
		if _, err := l.prove(NewVisitor(noon), ToHold, proof, noon); err == nil {
			t.Errorf("%q proves something for a visitor that was never asked", proof)
		}
	})
}

func BenchmarkProve(b *testing.B) {
	l, v := limits(b, Options{}), NewVisitor(noon)
	proof := Solve(l.challenge(v, ToHold, 5, noon), 5)
	for b.Loop() {
		_, _ = l.prove(v, ToHold, proof, noon) // spent after the first, which is found out last
	}
}

// BenchmarkTickets writes a ticket and reads it.
func BenchmarkTickets(b *testing.B) {
	l, v := limits(b, Options{}), NewVisitor(noon)
	for b.Loop() {
		if l.Visitor(l.Ticket(v), noon) == nil {
			b.Fatal("not read")
		}
	}
}
