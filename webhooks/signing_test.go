package webhooks

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// verify is a receiver as the Standard Webhooks specification describes it, written without a look at the sender.
func verify(secret string, header http.Header, body []byte, now time.Time) error {
	id, stamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || id == "" || strings.Contains(id, ".") {
		return fmt.Errorf("id %q, timestamp %q", id, stamp)
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > 5*time.Minute || age < -5*time.Minute {
		return fmt.Errorf("sent %v ago", age)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || !strings.HasPrefix(secret, "whsec_") {
		return fmt.Errorf("the secret is not one: %v", err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	for _, signature := range strings.Split(header.Get("webhook-signature"), " ") {
		version, text, _ := strings.Cut(signature, ",")
		sum, err := base64.StdEncoding.DecodeString(text)
		if version == "v1" && err == nil && hmac.Equal(sum, mac.Sum(nil)) {
			return nil
		}
	}
	return fmt.Errorf("no signature fits: %s", header.Get("webhook-signature"))
}

// The example that the specification's own libraries are tested with.
const (
	exampleSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	exampleID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	exampleSeconds   = 1614265330
	exampleBody      = `{"test": 2432232314}`
	exampleSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func TestSignaturesFitTheExample(t *testing.T) {
	at := time.Unix(exampleSeconds, 0)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(exampleSecret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	if got := signatures([][]byte{key}, exampleID, at, []byte(exampleBody)); got != exampleSignature {
		t.Errorf("signed %s, want %s", got, exampleSignature)
	}
	other := []byte("another key of another day, long enough")
	header := http.Header{}
	header.Set("webhook-id", exampleID)
	header.Set("webhook-timestamp", strconv.Itoa(exampleSeconds))
	header.Set("webhook-signature", signatures([][]byte{other, key}, exampleID, at, []byte(exampleBody)))
	if err := verify(exampleSecret, header, []byte(exampleBody), at); err != nil {
		t.Errorf("the second of two signatures: %v", err)
	}
	for what, change := range map[string]func(h http.Header){
		"another body": func(h http.Header) {
			h.Set("webhook-signature", signatures([][]byte{key}, exampleID, at, []byte("{}")))
		},
		"another key": func(h http.Header) {
			h.Set("webhook-signature", signatures([][]byte{other}, exampleID, at, []byte(exampleBody)))
		},
		"another id":        func(h http.Header) { h.Set("webhook-id", "msg_2") },
		"another timestamp": func(h http.Header) { h.Set("webhook-timestamp", strconv.Itoa(exampleSeconds+1)) },
	} {
		h := header.Clone()
		change(h)
		if verify(exampleSecret, h, []byte(exampleBody), at) == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

func testCipher(t testing.TB) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return seal
}

// Secrets are sealed in what is stored, belong to their webhook alone, and overlap for a day.
func TestSecrets(t *testing.T) {
	seal, start := testCipher(t), time.Unix(exampleSeconds, 0)
	w := Webhook{ID: "wh_one"}
	first := w.addSecret(seal, start)
	second := w.addSecret(seal, start.Add(time.Hour))
	at := func(now time.Time) (plain []string) {
		keys, err := w.keys(seal, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			plain = append(plain, written(key))
		}
		return plain
	}
	if got := at(start.Add(24 * time.Hour)); len(got) != 2 || got[0] != second || got[1] != first {
		t.Errorf("a day after the first: %v", got)
	}
	if got := at(start.Add(25 * time.Hour)); len(got) != 1 || got[0] != second {
		t.Errorf("a day after the second: %v", got)
	}
	row, err := w.row()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{first, second} {
		if strings.Contains(row.Details, strings.TrimPrefix(secret, secretPrefix)) {
			t.Errorf("the ledger reads a secret: %s", row.Details)
		}
	}
	thief := w.clone()
	thief.ID = "wh_other"
	if _, err := thief.keys(seal, start); err == nil {
		t.Error("another webhook's secret was opened")
	}
	for range 10 {
		w.addSecret(seal, start.Add(2*time.Hour))
	}
	if len(w.Secrets) != maxSecrets {
		t.Errorf("%d secrets sign at once", len(w.Secrets))
	}
}
