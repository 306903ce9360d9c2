package allocator

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestSumsAreHMAC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "key")
		parts := rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.StringN(0, -1, 2000)), 0, 4).Draw(t, "parts")
		h := hmac.New(sha256.New, key)
		for _, p := range parts {
			_ = binary.Write(h, binary.BigEndian, uint64(len(p)))
			h.Write([]byte(p))
		}
		k := newMacKey(key)
		if got := k.sum(parts...); !hmac.Equal(got[:], h.Sum(nil)) {
			t.Fatalf("%x, want %x", got, h.Sum(nil))
		}
		if len(parts) == 1 && k.sum(parts...) != k.sumBytes([]byte(parts[0])) {
			t.Fatal("the bytes of a text have another sum")
		}
	})
}

func anyText(t *rapid.T, label string) string {
	return rapid.OneOf(rapid.StringMatching(`[ -~]{0,20}`), rapid.String(), rapid.SampledFrom([]string{"", "<&>", "\u2028\x7f\xff\x00\"\\"})).Draw(t, label)
}

func TestTextsAreWrittenAsEncodingJSONWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := anyText(t, "text")
		want, _ := json.Marshal(text)
		if got := AppendJSON([]byte("kept"), text); string(got) != "kept"+string(want) {
			t.Fatalf("%s, want %s", got, want)
		}
	})
}

func TestPeopleAreWrittenAsEncodingJSONWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Person{
			NHSNumber: anyText(t, "number"), GivenName: anyText(t, "given"), FamilyName: anyText(t, "family"), Email: anyText(t, "email"),
			Phone: anyText(t, "phone"), Landline: anyText(t, "landline"), HasBirth: rapid.Bool().Draw(t, "has birth"),
			DateOfBirth: Date(rapid.IntRange(-40_000, 40_000).Draw(t, "born")),
		}
		doc := sealedPerson{
			NHSNumber: p.NHSNumber, GivenName: p.GivenName, FamilyName: p.FamilyName, Email: p.Email, Phone: p.Phone, Landline: p.Landline,
		}
		if p.HasBirth {
			doc.DateOfBirth = p.DateOfBirth.String()
		}
		want, _ := json.Marshal(doc)
		if got := appendPerson([]byte("{}"), &p); string(got) != "{}"+string(want) {
			t.Fatalf("%s, want {}%s", got, want)
		}
	})
}

// TestFingerprintsStay: an inventory remembers them, so that servers of all versions have to agree.
func TestFingerprintsStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := make([]ClaimRequest, rapid.IntRange(1, MaxClaimsPerHold).Draw(t, "claims"))
		body := sha256.New()
		for i := range claims {
			claims[i] = ClaimRequest{
				Site: SiteID(anyText(t, "site")), Service: ServiceCode(anyText(t, "service")), Length: rapid.Int().Draw(t, "length"),
				Start: time.UnixMilli(rapid.Int64Range(-1<<50, 1<<50).Draw(t, "start")),
			}
			b := binary.AppendVarint(binary.AppendVarint(nil, claims[i].Start.UnixMilli()), int64(claims[i].Length))
			fmt.Fprintf(body, "%q %q %x ", claims[i].Site, claims[i].Service, b)
		}
		want := [8]byte(body.Sum(nil))
		want[0] |= 1
		if got := fingerprint(claims); got != want {
			t.Fatalf("%x, want %x", got, want)
		}
	})
}

// TestCombinerKeepsWhatItStillHas: the place of an item whose caller gave up is not used again while the lane has it, whenever
// the callers come and go. Every caller that gets an answer gets its own.
func TestCombinerKeepsWhatItStillHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCombiner(pacer{rand.Reader}, 1000, 4, time.Second, func(_ context.Context, items []int) ([]int, error) {
			time.Sleep(3 * time.Millisecond)
			return slices.Clone(items), nil
		})
		c.start()
		var callers sync.WaitGroup
		for caller := range 20 {
			callers.Go(func() {
				for n := range 50 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration((caller*7+n*3)%25)*time.Millisecond)
					if got, err := c.submit(ctx, 100*caller+n); err == nil && got != 100*caller+n {
						t.Errorf("item %d was answered %d", 100*caller+n, got)
					}
					cancel()
					if n%5 == 0 && !c.post(-1) {
						t.Error("the queue is full")
					}
				}
			})
		}
		callers.Wait()
		c.end()
	})
}

func BenchmarkToken(b *testing.B) {
	secret, t := NewSecret([]byte("0123456789abcdef")), sampleTicket()
	t.Legs = t.Legs[:1]
	token := secret.sign(t)
	b.Run("sign", func(b *testing.B) {
		parallel(b, func() error { secret.sign(t); return nil })
	})
	b.Run("open", func(b *testing.B) {
		parallel(b, func() error { _, err := secret.open(token); return err })
	})
}

func BenchmarkKeys(b *testing.B) {
	secret := NewSecret([]byte("0123456789abcdef"))
	b.Run("request", func(b *testing.B) {
		parallel(b, func() error { secret.Request("", "an-idempotency-key-of-36-characters-x", "FA512"); return nil })
	})
	b.Run("manage", func(b *testing.B) { parallel(b, func() error { secret.ManageToken(42); return nil }) })
}

func BenchmarkSeal(b *testing.B) {
	secret := NewSecret([]byte("0123456789abcdef"))
	p := Person{NHSNumber: "9434765919", GivenName: "Alex", FamilyName: "Example", DateOfBirth: 3650, HasBirth: true, Email: "alex@example.org"}
	sealed := secret.seal(42, &p)
	b.Run("seal", func(b *testing.B) { parallel(b, func() error { secret.seal(42, &p); return nil }) })
	b.Run("unseal", func(b *testing.B) { parallel(b, func() error { _, err := secret.unseal(42, sealed); return err }) })
}

func BenchmarkCombiner(b *testing.B) {
	for _, callers := range []int{1, 256} {
		b.Run(fmt.Sprint(callers, " callers a core"), func(b *testing.B) {
			c := newCombiner(pacer{rand.Reader}, 8192, 128, time.Second, func(_ context.Context, items []int) ([]int, error) { return items, nil })
			c.start()
			defer c.end()
			b.SetParallelism(callers)
			parallel(b, func() error { _, err := c.submit(context.Background(), 1); return err })
		})
	}
}

// parallel runs work on all cores at once.
func parallel(b *testing.B, work func() error) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := work(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
