package allocator

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"

	"muster/allocator/keyring"
)

// stages are the rings of an installation that adopts keys and rotates them: from none at all to two forgotten.
func stages(t testing.TB) (secrets []Secret) {
	t.Helper()
	material, ring := []byte("0123456789abcdef"), keyring.New(true)
	add := func(r *keyring.Ring) { secrets = append(secrets, NewSecretWith(material, r)) }
	add(keyring.Derived())
	add(ring)
	for range 2 {
		for _, p := range keyring.Purposes {
			if _, err := ring.Rotate(p); err != nil {
				t.Fatal(err)
			}
		}
		add(ring)
	}
	for _, p := range keyring.Purposes {
		for id := range 2 {
			if err := ring.Forget(p, id); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(ring)
	ring.Wipe() // what was made of it has copies of its own
	return secrets
}

// TestKeysRotate: what one server makes, those before and after it in a rotation accept, as long as they know its key.
func TestKeysRotate(t *testing.T) {
	all := stages(t)
	p := Person{NHSNumber: "9434765919", GivenName: "Zoë", FamilyName: "O’Hara"}
	accepts := func(by, of *Secret) string {
		token, sealed := of.sign(sampleTicket()), of.seal(42, &p)
		got, err := by.open(token)
		if err == nil && fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", sampleTicket()) {
			t.Errorf("a hold is read as %+v", got)
		}
		person, notOpened := by.unseal(42, sealed)
		if notOpened == nil && *person != p {
			t.Errorf("details are read as %+v", person)
		}
		manages := by.Manages(42, of.ManageToken(42))
		if by.Manages(43, of.ManageToken(42)) || (err == nil) != manages || manages != (notOpened == nil) {
			t.Errorf("accepted in part: %v, %v, %v", err, manages, notOpened)
		}
		if manages {
			return "y"
		}
		return "-"
	}
	var table []string
	for i := range all {
		row := ""
		for j := range all {
			row += accepts(&all[i], &all[j])
		}
		table = append(table, row)
	}
	// by: none, first ring, with a next key, rotated, older ones forgotten
	if want := []string{"y----", "yyy--", "yyyyy", "yyyyy", "---yy"}; !slices.Equal(table, want) {
		t.Errorf("accepted: %v, want %v", table, want)
	}
	for i := range all {
		if all[i].Person("9434765919") != all[0].Person("9434765919") || all[i].Booking(RequestKey{1}, 2) != all[0].Booking(RequestKey{1}, 2) {
			t.Error("what is for ever changes with the keys")
		}
	}
}

// TestWorklistKeysRotate: the active key signs, and those that may have signed are published beside it.
func TestWorklistKeysRotate(t *testing.T) {
	all := stages(t)
	count := []int{}
	for i := range all {
		count = append(count, len(all[i].WorklistKeys()))
	}
	signs := func(i int) ed25519.PrivateKey { return all[i].WorklistKeys()[0] }
	if !slices.Equal(count, []int{1, 2, 3, 3, 1}) || !signs(1).Equal(signs(2)) || signs(2).Equal(signs(3)) || !signs(3).Equal(signs(4)) {
		t.Errorf("%v keys", count)
	}
	if !slices.ContainsFunc(all[3].WorklistKeys(), func(k ed25519.PrivateKey) bool { return k.Equal(signs(0)) }) {
		t.Error("the first key is not published after two rotations")
	}
}

// TestNumberedTokens: a token's key number is signed too, and one that is unknown opens nothing.
func TestNumberedTokens(t *testing.T) {
	secret := stages(t)[3]
	token := secret.sign(sampleTicket())
	for i := range token {
		for _, c := range []byte("A-z_0=.") {
			changed := []byte(token)
			if changed[i] == c {
				continue
			}
			changed[i] = c
			if _, err := secret.open(string(changed)); err == nil {
				t.Fatalf("byte %d changed to %q is accepted", i, c)
			}
		}
		if _, err := secret.open(token[:i]); err == nil {
			t.Fatalf("cut at %d it is accepted", i)
		}
	}
	manage := secret.ManageToken(42)
	if len(manage) != manageCharacters+2 || !strings.HasPrefix(manage, "02") {
		t.Errorf("a manage token of key 2: %s", manage)
	}
	for _, wrong := range []string{
		"", manage[2:], "00" + manage[2:], "01" + manage[2:], "03" + manage[2:], "82" + manage[2:], "ZZ" + manage[2:], "!!" + manage[2:],
		manage + "0", manage[:27], strings.ToLower(manage),
	} {
		if secret.Manages(42, wrong) {
			t.Errorf("%q opens the booking of %s", wrong, manage)
		}
	}
}
