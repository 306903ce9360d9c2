package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muster/allocator"
	"muster/allocator/keyring"
	"muster/allocator/sqliteledger"
)

// mustRun runs a command that succeeds.
func mustRun(t testing.TB, args ...string) string {
	t.Helper()
	code, out, complaints := run(t, args...)
	if code != 0 {
		t.Fatalf("muster %s: exit %d\n%s%s", strings.Join(args, " "), code, out, complaints)
	}
	return out
}

// refused runs a command that fails and says why.
func refused(t testing.TB, why string, args ...string) {
	t.Helper()
	if code, out, complaints := run(t, args...); code == 0 || !strings.Contains(complaints, why) {
		t.Errorf("muster %s: exit %d, want %q\n%s%s", strings.Join(args, " "), code, why, out, complaints)
	}
}

// someBooking books for the nth person, and answers reference and manage token.
func (s *server) someBooking(n int) (reference, manage string) {
	s.t.Helper()
	booked := s.confirm(s.hold("A1", soon()), person(n)).want(201)
	return booked.text("bookings.0.reference"), booked.text("bookings.0.manageToken")
}

// TestKeyFiles: a file of keys is its owner's, is never overwritten by accident, and tells no key to who looks.
func TestKeyFiles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "keys.json")
	mustRun(t, "keys", "new", "--keys", name)
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	refused(t, "is there already", "keys", "new", "--keys", name)
	mustRun(t, "keys", "rotate", "--keys", name, "--purpose", "payload,hold")
	out := mustRun(t, "keys", "check", "--keys", name)
	if strings.Count(out, "active") != len(keyring.Purposes) || strings.Count(out, "next") != 2 || !strings.Contains(out, "payload/2    next") {
		t.Errorf("check:\n%s", out)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Keys []struct{ Key string } }
	if err := json.Unmarshal(text, &file); err != nil || len(file.Keys) != len(keyring.Purposes)+2 {
		t.Fatalf("%d keys, %v", len(file.Keys), err)
	}
	for _, k := range file.Keys {
		if strings.Contains(out, k.Key) {
			t.Error("check tells a key")
		}
	}
	refused(t, "is none of", "keys", "rotate", "--keys", name, "--purpose", "cooking")
	refused(t, "only retired keys can be forgotten", "keys", "forget", "--data", t.TempDir(), "--keys", name, "--purpose", "payload", "--id", "1")
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, complaints := run(t, "keys", "check", "--keys", name); !strings.Contains(complaints, "open to everybody") {
		t.Errorf("a file that all may read: %s", complaints)
	}
	if err := os.WriteFile(name, append(text, 'x'), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, "something follows the key ring", serveArgs([]string{"--data", t.TempDir(), "--keys", name})...)
	t.Setenv("MUSTER_KEYRING", "{}")
	refused(t, "both given", serveArgs([]string{"--data", t.TempDir(), "--keys", name})...)
	refused(t, "has 0 active", serveArgs([]string{"--data", t.TempDir()})...)
}

// TestEmbeddedKeys: the embedded installation makes its keys beside the ledger, so that the ledger alone opens nothing.
func TestEmbeddedKeys(t *testing.T) {
	data := t.TempDir()
	s := serve(t, "--dev", "--data", data)
	s.world("A1", 5)
	reference, manage := s.someBooking(1)
	s.stop()
	name := filepath.Join(data, keyFileName)
	ring, err := loadKeys(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 || len(ring.Secret) != keyring.KeyBytes || len(ring.Keys) != len(keyring.Purposes) {
		t.Errorf("%v, %v: a secret of %d bytes, %d keys", info.Mode(), err, len(ring.Secret), len(ring.Keys))
	}
	for _, file := range []string{sqliteledger.FileName, sqliteledger.FileName + "-wal"} {
		held, err := os.ReadFile(filepath.Join(data, file))
		if err != nil && file == sqliteledger.FileName {
			t.Fatal(err)
		}
		for _, secret := range [][]byte{ring.Secret, ring.Keys[0].Bytes, ring.Keys[2].Bytes, []byte(person(1)), []byte("1948-05-17")} {
			if bytes.Contains(held, secret) {
				t.Errorf("%s holds a secret", file)
			}
		}
	}
	s = serve(t, "--dev", "--data", data)
	s.view(reference, manage).want(200)
	s.stop()
	if err := os.Rename(name, name+".away"); err != nil {
		t.Fatal(err)
	}
	refused(t, "this ledger was begun with a secret that you keep", serveArgs([]string{"--dev", "--data", data})...)
	if _, err := os.Stat(name); err == nil {
		t.Error("a server that refuses leaves other keys behind")
	}
}

// TestOlderLedger: a ledger that holds its secret goes on with it, and gets keys; what it has stays readable, and is sealed
// anew.
func TestOlderLedger(t *testing.T) {
	data, secret := t.TempDir(), []byte("a secret that was kept in there!")
	ledger, err := sqliteledger.Open(t.Context(), data, sqliteledger.Options{})
	if err == nil {
		err = ledger.Migrate(t.Context())
	}
	if err == nil {
		_, err = ledger.Agree(t.Context(), "secret", secret)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.Close(); err != nil {
		t.Fatal(err)
	}
	derived := filepath.Join(t.TempDir(), "derived.json")
	if err := storeKeys(derived, keyring.Derived()); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--dev", "--data", data, "--keys", derived) // as servers did before there were keys
	s.world("A1", 5)
	reference, manage := s.someBooking(1)
	s.stop()
	if len(manage) != 26 {
		t.Errorf("the token was %s", manage)
	}
	for range 2 {
		s = serve(t, "--dev", "--data", data, "--upkeep-every", "0")
		s.view(reference, manage).want(200)
		s.stop()
	}
	if out := mustRun(t, "keys", "reencrypt", "--data", data); !strings.Contains(out, `"rewrapped": 1`) || !strings.Contains(out, `"1": 1`) {
		t.Errorf("reencrypt: %s", out)
	}
	mustRun(t, "keys", "forget", "--data", data, "--purpose", "payload", "--id", "0")
	s = serve(t, "--dev", "--data", data)
	if v := s.view(reference, manage).want(200); v.text("person.nhsNumber") != person(1) {
		t.Errorf("%s", v.body)
	}
}

// TestRotation: two servers on one ledger go through a rotation one after the other, and whoever lacks a key that is in
// use does not start.
func TestRotation(t *testing.T) {
	secret := []string{"--secret-file", write(t, strings.Repeat("s", 32))}
	args := append(external(t), secret...)
	name, before := filepath.Join(t.TempDir(), "keys.json"), filepath.Join(t.TempDir(), "before.json")
	mustRun(t, "keys", "new", "--keys", name)
	mustRun(t, "keys", "rotate", "--keys", name, "--purpose", "payload,manage,hold,worklist")
	copyFile(t, name, before)
	with := func(keys string) []string { return append(slices.Clone(args), "--keys", keys) }
	one := serve(t, with(before)...)
	one.world("A1", 50)
	mustRun(t, "keys", "rotate", "--keys", name, "--purpose", "payload,manage,hold,worklist")
	two := serve(t, with(name)...)
	mine := []string{"1", "2"}
	manage := make([]string, 2)
	mine[0], manage[0] = one.someBooking(1)
	two.await("the second server knows the site", func() bool { return two.call("GET", "/v1/sites/A1", nil).status == 200 })
	mine[1], manage[1] = two.someBooking(2)
	for i := range mine {
		for _, s := range []*server{one, two} {
			if v := s.view(mine[i], manage[i]).want(200); v.text("person.nhsNumber") != person(i+1) {
				t.Errorf("%s", v.body)
			}
		}
	}
	held := two.hold("A1", soon())
	one.confirm(held, person(3)).want(201) // a token of the new key at the server of the old
	if one.call("GET", "/v1/worklist-keys", nil).count("keys") != 2 {
		t.Error("worklists of one server cannot be checked by the keys of the other")
	}
	one.stop()
	old := filepath.Join(t.TempDir(), "old.json")
	mustRun(t, "keys", "new", "--keys", old)
	refused(t, "is another one here than the ledger's", serveArgs(with(old))...)
	refused(t, "payload/2 is in use, and this ring lacks it", serveArgs(args)...)
	ledger := []string{"--ledger", args[slices.Index(args, "--ledger")+1]}
	keys := func(what, file string, more ...string) []string {
		return slices.Concat([]string{"keys", what, "--keys", file}, ledger, more)
	}
	forget := keys("forget", name, append(secret, "--purpose", "payload", "--id", "1")...)
	refused(t, "payloads still need key payload/1", forget...)
	mustRun(t, keys("reencrypt", name, secret...)...)
	mustRun(t, forget...)
	if out := mustRun(t, keys("check", name)...); !strings.Contains(out, "may serve this ledger") {
		t.Errorf("%s", out)
	}
	refused(t, "payload/1 was forgotten", keys("check", before)...)
	one = serve(t, with(name)...)
	if v := one.view(mine[0], manage[0]).want(200); v.text("person.nhsNumber") != person(1) {
		t.Errorf("after all: %s", v.body)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestPerson: what operators do for a person, by command and over HTTP, names nobody in logs and addresses.
func TestPerson(t *testing.T) {
	data := t.TempDir()
	s := serve(t, "--dev", "--data", data, "--log-level", "debug")
	s.world("A1", 5)
	first, manage := s.someBooking(1)
	s.call("POST", "/v1/bookings/"+first+"/cancel", nil, "Authorization", "Manage "+manage).want(200)
	second, _ := s.someBooking(1)
	export := s.staff("POST", "/v1/people/export", object{"nhsNumber": person(1)}).want(200)
	if export.count("bookings") != 2 || export.text("bookings.0.details.nhsNumber") != person(1) {
		t.Errorf("%s", export.body)
	}
	s.call("POST", "/v1/people/export", object{"nhsNumber": person(1)}).want(401)
	s.staff("POST", "/v1/people/export", object{"nhsNumber": "9434765918"}).want(422, allocator.CodeNHSNumberInvalid)
	erased := s.staff("POST", "/v1/people/erase", object{"nhsNumber": person(1)}).want(200)
	if erased.number("erased") != 1 || erased.text("upcoming.0") != second {
		t.Errorf("%s", erased.body)
	}
	s.stop()
	if log := s.err.String() + s.out.String(); strings.Contains(log, person(1)) || !strings.Contains(log, "a person was erased") {
		t.Errorf("the log names the person, or not what was done:\n%s", log)
	}
	number := write(t, " "+person(1)+"\n")
	if out := mustRun(t, "person", "export", "--data", data, "--nhs-number-file", number); !strings.Contains(out, second) || strings.Contains(out, first) {
		t.Errorf("%s", out)
	}
	refused(t, "1 bookings are still to come", "person", "erase", "--data", data, "--nhs-number-file", number)
	refused(t, "not a valid NHS number", "person", "export", "--data", data, "--nhs-number-file", write(t, "12"))
	refused(t, "unexpected argument", "person", "export", "--data", data, person(1))
	endBooking(t, data, second)
	if out := mustRun(t, "retention", "--data", data, "--dry-run", "--keep-cancelled", "1"); !strings.Contains(out, `"lapsed": 0`) || !strings.Contains(out, `"read": 1`) {
		t.Errorf("retention: %s", out)
	}
	refused(t, "not within 0 and", "retention", "--data", data, "--keep-missed=-1")
	if out := mustRun(t, "person", "erase", "--data", data, "--nhs-number-file", number); !strings.Contains(out, `"erased": 1`) {
		t.Errorf("%s", out)
	}
	if out := mustRun(t, "person", "export", "--data", data, "--nhs-number-file", number); !strings.Contains(out, `"bookings": []`) {
		t.Errorf("%s", out)
	}
}

// endBooking cancels a booking in a ledger that nobody has open.
func endBooking(t testing.TB, data, reference string) {
	t.Helper()
	ledger, err := sqliteledger.Open(context.Background(), data, sqliteledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	key, _ := allocator.ParseReference(reference)
	if r, err := ledger.Transition(t.Context(), allocator.Transition{Key: key, To: allocator.StatusCancelled, Actor: "test"}); err != nil || !r.Changed {
		t.Fatal(r, err)
	}
}
