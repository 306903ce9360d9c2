package allocator

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func zoneOf(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func dateOf(t testing.TB, text string) Date {
	t.Helper()
	d, err := ParseDate(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestClockChanges counts the slots of a night session on ordinary days and on days of 23 and 25 hours.
func TestClockChanges(t *testing.T) {
	for _, c := range []struct {
		zone, date  string
		from, until string
		want        int
		first, last string // in UTC
	}{
		{"Europe/London", "2027-03-27", "00:30", "03:30", 6, "2027-03-27T00:30:00Z", "2027-03-27T03:00:00Z"},
		{"Europe/London", "2027-03-28", "00:30", "03:30", 4, "2027-03-28T00:30:00Z", "2027-03-28T02:00:00Z"},
		{"Europe/London", "2027-10-31", "00:30", "03:30", 8, "2027-10-30T23:30:00Z", "2027-10-31T03:00:00Z"},
		{"Europe/London", "2027-03-28", "00:00", "24:00", 46, "2027-03-28T00:00:00Z", "2027-03-28T22:30:00Z"},
		{"Europe/London", "2027-10-31", "00:00", "24:00", 50, "2027-10-30T23:00:00Z", "2027-10-31T23:30:00Z"},
		{"Europe/London", "2027-03-28", "01:30", "02:30", 1, "2027-03-28T01:00:00Z", "2027-03-28T01:00:00Z"},
		{"America/Santiago", "2027-09-05", "00:00", "03:00", 4, "2027-09-05T04:00:00Z", "2027-09-05T05:30:00Z"},
		{"Australia/Lord_Howe", "2027-10-03", "01:00", "03:00", 3, "2027-10-02T14:30:00Z", "2027-10-02T15:30:00Z"},
	} {
		zone := zoneOf(t, c.zone)
		from, _ := ParseTimeOfDay(c.from)
		until, _ := ParseTimeOfDay(c.until)
		day := Day{Site: "S", Date: dateOf(t, c.date), Sessions: []Session{{From: from, Until: until, SlotLength: 30, Capacity: 1, Services: []ServiceCode{"A"}}}}
		slots := day.Slots(zone)
		if len(slots) != c.want {
			t.Errorf("%+v: %d slots", c, len(slots))
			continue
		}
		first, last := slots[0].ID.Start.Time().Format(time.RFC3339), slots[len(slots)-1].ID.Start.Time().Format(time.RFC3339)
		if first != c.first || last != c.last {
			t.Errorf("%+v: from %s to %s", c, first, last)
		}
		for _, s := range slots {
			if DateOf(s.ID.Start.Time().In(zone)) != day.Date {
				t.Errorf("%+v: the slot at %v is on another date", c, s.ID.Start.Time())
			}
		}
	}
}

func TestBreaksAndSums(t *testing.T) {
	day := Day{Site: "S", Date: 20_000, Sessions: []Session{
		{From: 540, Until: 600, SlotLength: 10, Capacity: 2, Services: []ServiceCode{"B", "A"}, Breaks: []Break{{555, 565}}},
		{From: 540, Until: 560, SlotLength: 10, Capacity: 3, Services: []ServiceCode{"A", "B"}},
		{From: 540, Until: 560, SlotLength: 20, Capacity: 1, Services: []ServiceCode{"A"}},
		{From: 540, Until: 550, SlotLength: 10, Capacity: 1, Services: []ServiceCode{"A"}, Stopped: true},
	}}
	var got []string
	for _, s := range day.Slots(time.UTC) {
		text := fmt.Sprintf("%s/%d", s.ID.Start.Time().Format("15:04"), s.ID.Length)
		for _, p := range s.Pools {
			text += fmt.Sprintf(" %v×%d/%d", p.Services, p.Capacity, p.Access)
		}
		got = append(got, text)
	}
	want := []string{
		"09:00/10 [A]×1/2 [A B]×5/0", "09:00/20 [A]×1/0", "09:10/10 [A B]×3/0", "09:30/10 [A B]×2/0", "09:40/10 [A B]×2/0", "09:50/10 [A B]×2/0",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestValidateDay(t *testing.T) {
	good := Session{From: 540, Until: 720, SlotLength: 10, Capacity: 2, Services: []ServiceCode{"RSV:Adult"}}
	with := func(change func(s *Session)) Session {
		s := good
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		session Session
		pointer string
	}{
		"zero length":       {with(func(s *Session) { s.SlotLength = 0 }), "/sessions/0/slotLength"},
		"over-long slot":    {with(func(s *Session) { s.SlotLength = 481 }), "/sessions/0/slotLength"},
		"slot > session":    {with(func(s *Session) { s.Until = 545 }), "/sessions/0/slotLength"},
		"backward":          {with(func(s *Session) { s.Until = 500 }), "/sessions/0/until"},
		"empty":             {with(func(s *Session) { s.Until = 540 }), "/sessions/0/until"},
		"no capacity":       {with(func(s *Session) { s.Capacity = 0 }), "/sessions/0/capacity"},
		"negative":          {with(func(s *Session) { s.Capacity = -1 }), "/sessions/0/capacity"},
		"a million":         {with(func(s *Session) { s.Capacity = 1_000_000 }), "/sessions/0/capacity"},
		"no service":        {with(func(s *Session) { s.Services = nil }), "/sessions/0/services"},
		"bad service":       {with(func(s *Session) { s.Services = []ServiceCode{"a b"} }), "/sessions/0/services/0"},
		"service twice":     {with(func(s *Session) { s.Services = []ServiceCode{"A", "A"} }), "/sessions/0/services/1"},
		"break outside":     {with(func(s *Session) { s.Breaks = []Break{{500, 550}} }), "/sessions/0/breaks/0"},
		"backward break":    {with(func(s *Session) { s.Breaks = []Break{{600, 590}} }), "/sessions/0/breaks/0"},
		"nothing but break": {with(func(s *Session) { s.Breaks = []Break{{540, 720}} }), "/sessions"},
	} {
		faults := Day{Date: 20_000, Sessions: []Session{c.session}}.Validate(time.UTC)
		if len(faults) == 0 || faults[0].Pointer != c.pointer {
			t.Errorf("%s: %v, want a fault at %s", name, faults, c.pointer)
		}
	}
	if faults := (Day{Date: 20_000, Sessions: []Session{good}}).Validate(time.UTC); len(faults) != 0 {
		t.Errorf("a good day: %v", faults)
	}
}

func TestReferences(t *testing.T) {
	secret := NewSecret([]byte("0123456789abcdef"))
	for i := range 200 {
		key := secret.Booking(secret.Request("", fmt.Sprint(i), "S"), i%10)
		text := key.Reference()
		for _, written := range []string{text, strings.ToLower(text), strings.ReplaceAll(text, "-", ""), strings.ReplaceAll(strings.ReplaceAll(text, "0", "O"), "1", "l")} {
			if got, ok := ParseReference(written); !ok || got != key {
				t.Fatalf("%s is read as %v, %v", written, got, ok)
			}
		}
		plain := []byte(strings.ReplaceAll(text, "-", ""))
		for at := range plain {
			for _, other := range alphabet {
				changed := append([]byte(nil), plain...)
				if changed[at] = byte(other); changed[at] != plain[at] {
					if _, ok := ParseReference(string(changed)); ok {
						t.Fatalf("%s passes for %s", changed, plain)
					}
				}
			}
			if at > 0 && plain[at] != plain[at-1] {
				swapped := append([]byte(nil), plain...)
				swapped[at], swapped[at-1] = swapped[at-1], swapped[at]
				if _, ok := ParseReference(string(swapped)); ok {
					t.Fatalf("%s passes for %s", swapped, plain)
				}
			}
		}
	}
}

func TestNHSNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"9434765919": "9434765919", "943 476 5919": "9434765919", "943-476-5919": "9434765919", "9000000009": "9000000009",
		"9434765918": "", "943476591": "", "94347659190": "", "943476591x": "", "": "", "٩434765919": "",
	} {
		got, ok := ValidNHSNumber(text)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v", text, got, ok)
		}
	}
}

func TestEligibleByAgeOnTheDay(t *testing.T) {
	e := Eligibility{MinAge: 75}
	born := dateOf(t, "1951-12-02")
	if e.Allows(born, dateOf(t, "2026-12-01")) || !e.Allows(born, dateOf(t, "2026-12-02")) {
		t.Error("75 on the birthday, not before")
	}
	leap := dateOf(t, "1952-02-29")
	if e.Allows(leap, dateOf(t, "2027-02-28")) || !e.Allows(leap, dateOf(t, "2027-03-01")) {
		t.Error("who was born on 29 February turns 75 on 1 March")
	}
}

func sampleTicket() *ticket {
	secret := NewSecret([]byte("0123456789abcdef"))
	return &ticket{Legs: []leg{
		{ID: HoldID{Key: secret.Request("", "k", "FA512"), Stamp: MakeStamp(3, 1_800_000_000_000_000)}, Site: "FA512", Epoch: 3, DeadlineMs: 1_800_000_300_000, GraceMs: 5000,
			Claims: []legClaim{{Index: 1, Start: 30_000_000, Length: 10, Date: 20_833, Service: "RSV:Adult", Place: 7}}},
		{ID: HoldID{Key: secret.Request("", "k", "X"), Stamp: MakeStamp(9, 1_800_000_000_000_001)}, Site: "X", Epoch: 9, DeadlineMs: 1_800_000_300_001, GraceMs: 5000,
			Claims: []legClaim{{Index: 0, Start: 30_000_010, Length: 5, Date: 20_833, Service: "FLU:65+", Place: 0}, {Index: 2, Start: 30_000_015, Length: 5, Date: 20_833, Service: "FLU:65+", Place: 1}}},
	}}
}

// TestTokens: what is signed is read back, and nothing else is.
func TestTokens(t *testing.T) {
	secret := NewSecret([]byte("0123456789abcdef"))
	token := secret.sign(sampleTicket())
	got, err := secret.open(token)
	if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", sampleTicket()) {
		t.Fatalf("read back as %+v, %v", got, err)
	}
	for i := range token {
		for _, c := range []byte("A-z_0=.") {
			flipped := []byte(token)
			if flipped[i] == c {
				continue
			}
			flipped[i] = c
			if _, err := secret.open(string(flipped)); err == nil {
				t.Fatalf("byte %d flipped to %q is accepted", i, c)
			}
		}
		if _, err := secret.open(token[:i]); err == nil {
			t.Fatalf("cut at %d it is accepted", i)
		}
	}
	other := NewSecret([]byte("fedcba9876543210"))
	if _, err := other.open(token); err == nil {
		t.Error("another installation accepts the token")
	}
}

func FuzzToken(f *testing.F) {
	secret := NewSecret([]byte("0123456789abcdef"))
	f.Add(secret.sign(sampleTicket()))
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		got, err := secret.open(token)
		if err == nil && secret.sign(got) != token {
			t.Errorf("%q is accepted and is not what was signed", token)
		}
	})
}

func signature(s *Secret, body []byte) []byte {
	sum := s.hold.keys[0].sumBytes(body)
	return sum[:signatureBytes]
}

// FuzzSignedBody: even a body that was signed by mistake cannot break the reader.
func FuzzSignedBody(f *testing.F) {
	secret := NewSecret([]byte("0123456789abcdef"))
	raw, _ := tokenEncoding.DecodeString(secret.sign(sampleTicket()))
	f.Add(raw[:len(raw)-signatureBytes])
	f.Fuzz(func(t *testing.T, body []byte) {
		signed := append(append([]byte(nil), body...), signature(&secret, body)...)
		got, err := secret.open(tokenEncoding.EncodeToString(signed))
		if err == nil && len(got.Legs) == 0 {
			t.Error("a ticket without a leg")
		}
	})
}

func FuzzReference(f *testing.F) {
	f.Add("2BNF-T3R8-BAFR-Z")
	f.Fuzz(func(t *testing.T, text string) {
		if key, ok := ParseReference(text); ok {
			if again, ok := ParseReference(key.Reference()); !ok || again != key {
				t.Errorf("%q: %d is written as %s", text, key, key.Reference())
			}
		}
	})
}

// FuzzManageTokens: nothing opens a booking but its own token.
func FuzzManageTokens(f *testing.F) {
	secret := NewSecret([]byte("0123456789abcdef"))
	f.Add(int64(42), secret.ManageToken(42))
	f.Add(int64(42), secret.ManageToken(43))
	f.Add(int64(7), "")
	f.Fuzz(func(t *testing.T, key int64, token string) {
		if secret.Manages(BookingKey(key), token) && token != secret.ManageToken(BookingKey(key)) {
			t.Errorf("%q opens booking %d", token, key)
		}
	})
}

func TestStampsTellTheirInstant(t *testing.T) {
	if got := MakeStamp(70_000, 1_800_000_000_123_456).Millis(); got != 1_800_000_000_123 {
		t.Errorf("%d", got)
	}
}

func TestManageTokens(t *testing.T) {
	secret := NewSecret([]byte("0123456789abcdef"))
	token := secret.ManageToken(42)
	if !secret.Manages(42, token) || secret.Manages(43, token) {
		t.Error("a token opens its own booking only")
	}
	for i := range token {
		for bit := range 8 {
			flipped := []byte(token)
			flipped[i] ^= 1 << bit
			if secret.Manages(42, string(flipped)) {
				t.Errorf("%s opens the booking of %s", flipped, token)
			}
		}
	}
}

func TestSealing(t *testing.T) {
	secret := NewSecret([]byte("0123456789abcdef"))
	p := Person{NHSNumber: "9434765919", GivenName: "Zoë", FamilyName: "O’Hara", DateOfBirth: dateOf(t, "1950-02-01"), HasBirth: true, Email: "z@example.org"}
	sealed := secret.seal(42, &p)
	if strings.Contains(string(sealed), "9434765919") || strings.Contains(string(sealed), "Hara") {
		t.Error("the sealed form shows what it seals")
	}
	if got, err := secret.unseal(42, sealed); err != nil || *got != p {
		t.Errorf("unsealed: %+v, %v", got, err)
	}
	if _, err := secret.unseal(43, sealed); err == nil {
		t.Error("the details open under another booking")
	}
}

func TestLimitsAreRelated(t *testing.T) {
	if err := (Limits{}).Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	err := (Limits{HoldLength: time.Hour, KeyLifetime: time.Minute, HoldQueue: 1, ReconcileEvery: time.Minute}).Validate()
	for _, want := range []string{"key lifetime", "hold queue", "60 s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not speak of %q", err, want)
		}
	}
}

func TestShardsAreEven(t *testing.T) {
	counts := make([]int, 12)
	for i := range 12_000 {
		counts[ShardOf(SiteID(fmt.Sprintf("FA%03d", i)), len(counts))]++
	}
	for shard, n := range counts {
		if n < 800 || n > 1200 {
			t.Errorf("shard %d has %d of 12000 sites", shard, n)
		}
	}
}

func TestSessionsCodec(t *testing.T) {
	sessions := []Session{{ID: "a", From: 540, Until: 1440, SlotLength: 10, Capacity: 2, Services: []ServiceCode{"A"}, Breaks: []Break{{600, 610}}, Stopped: true, Invited: true}}
	got, err := DecodeSessions(EncodeSessions(sessions))
	if err != nil || !sameSessions(got, sessions) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "{}", `[{"from":"9:00","until":"10:00"}]`} {
		if _, err := DecodeSessions([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// plainSlots is what Slots says, put together one session after the other.
func plainSlots(d *Day, zone *time.Location) []Slot {
	found := make(map[SlotID][]Pool)
	for _, s := range d.Sessions {
		services := slices.Compact(slices.Sorted(slices.Values(s.Services)))
		s.grid(d.Date, zone, func(start Minute) {
			id := SlotID{Site: d.Site, Start: start, Length: int16(s.SlotLength)}
			p := Pool{Services: services, Capacity: s.Capacity, Access: s.access(), Kept: s.keeps(start), Suspended: s.Suspended}
			same := slices.IndexFunc(found[id], func(q Pool) bool { return q.Access == p.Access && slices.Equal(q.Services, services) })
			if same < 0 {
				found[id] = append(found[id], p)
				return
			}
			found[id][same].Capacity += p.Capacity
			found[id][same].Kept += p.Kept
		})
	}
	var slots []Slot
	for _, id := range slices.SortedFunc(maps.Keys(found), SlotID.Compare) {
		slices.SortFunc(found[id], comparePools)
		slots = append(slots, Slot{ID: id, Pools: found[id]})
	}
	return slots
}

// TestSlotsAreThoseOfTheSessions: however sessions overlap, on days of 23, 24 and 25 hours.
func TestSlotsAreThoseOfTheSessions(t *testing.T) {
	zone := zoneOf(t, "Europe/London")
	dates := []Date{dateOf(t, "2027-03-27"), dateOf(t, "2027-03-28"), dateOf(t, "2027-10-31")}
	rapid.Check(t, func(t *rapid.T) {
		d := Day{Site: "S", Date: rapid.SampledFrom(dates).Draw(t, "date")}
		names := rapid.SampledFrom([]ServiceCode{"A", "B", "C"})
		for range rapid.IntRange(0, 5).Draw(t, "sessions") {
			from := 15 * rapid.IntRange(0, 90).Draw(t, "from")
			s := Session{
				From: TimeOfDay(from), Until: TimeOfDay(min(24*60, from+rapid.IntRange(0, 300).Draw(t, "long"))),
				SlotLength: rapid.SampledFrom([]int{5, 10, 15, 30}).Draw(t, "length"), Capacity: rapid.IntRange(1, 4).Draw(t, "capacity"),
				Services: rapid.SliceOfN(names, 1, 4).Draw(t, "services"), Invited: rapid.Bool().Draw(t, "invited"), Stopped: rapid.Bool().Draw(t, "stopped"),
			}
			if rapid.Bool().Draw(t, "suspended") {
				s.Suspended = s.Services[:1]
			}
			if rapid.Bool().Draw(t, "break") {
				s.Breaks = append(s.Breaks, Break{From: s.From + 20, Until: s.From + 50})
			}
			if rapid.Bool().Draw(t, "kept") {
				s.Kept = append(s.Kept, KeptPlaces{Start: MinuteOf(d.Date.At(s.From, zone)), Places: 1})
			}
			d.Sessions = append(d.Sessions, s)
		}
		got, want := d.Slots(zone), plainSlots(&d, zone)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("of %+v\ngot  %+v\nwant %+v", d, got, want)
		}
	})
}

func BenchmarkSlots(b *testing.B) {
	zone := zoneOf(b, "Europe/London")
	d := Day{Site: "FA512", Date: dateOf(b, "2027-03-27"), Sessions: []Session{
		{From: 9 * 60, Until: 13 * 60, SlotLength: 10, Capacity: 2, Services: []ServiceCode{"COVID:Adult", "FLU:Adult"}},
		{From: 13 * 60, Until: 17 * 60, SlotLength: 10, Capacity: 1, Services: []ServiceCode{"RSV:Adult"}},
	}}
	b.ReportAllocs()
	for b.Loop() {
		if len(d.Slots(zone)) != 48 {
			b.Fatal("not 48 slots")
		}
	}
}
