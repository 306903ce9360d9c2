package api

import (
	"crypto/aes"
	"crypto/cipher"
	"net/http"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/memoryledger"
	"muster/webhooks"
)

// taking is a network whose every endpoint takes what it is sent.
type taking struct{}

func (taking) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
}

// someHook is the webhook that fakeHooks has.
const someHook = "wh_some"

// fakeHooks are webhooks over a ledger in memory, which are not run.
func fakeHooks(t testing.TB) *webhooks.Hooks {
	t.Helper()
	ledger := memoryledger.New(time.Now)
	if _, err := ledger.SwapWebhook(t.Context(), allocator.WebhookRow{ID: someHook, Version: 1, Details: `{"id":"` + someHook + `","url":"https://example.org/"}`}); err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	h, err := webhooks.New(webhooks.Options{Ledger: ledger, Source: &fake{}, View: EventView, Seal: seal, Transport: taking{}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestWebhookFaults(t *testing.T) {
	w := serve(t, Options{Dev: true, Webhooks: fakeHooks(t)}, &fake{})
	for body, want := range map[string]string{
		`{}`: "[/url]", `{"url":"http://example.org"}`: "[/url]", `{"url":"https://10.0.0.1/"}`: "[/url]", `{"url":"https://a:b@example.org/"}`: "[/url]",
		`{"url":"https://example.org","types":["booking.made"]}`:          "[/types/0]",
		`{"url":"https://example.org","sites":["FA512","not a site"]}`:    "[/sites/1]",
		`{"url":"https://example.org","status":"on"}`:                     "[/status]",
		`{"url":"https://example.org","secret":"whsec_mine"}`:             "[/secret]",
		`{"url":"https://example.org","delivery":{},"createdAt":"never"}`: "[]",
	} {
		a := w.staff("PUT", "/v1/webhooks/"+someHook, body)
		if got := pointersOf(t, a); got != want {
			t.Errorf("%s: faults at %s, want %s: %s", body, got, want, a.body)
		}
	}
	w.staff("PUT", "/v1/webhooks/"+someHook, `{"url":"https://example.org","webhookId":"wh_other"}`).refused(400, allocator.CodeInvalid)
	w.staff("POST", "/v1/webhooks?x=1", `{"url":"https://example.org"}`).refused(400, allocator.CodeInvalid)
}

// pointersOf is pointers, of a reply that may be none of a problem.
func pointersOf(t *testing.T, a answer) string {
	t.Helper()
	if a.status < 300 {
		return "[]"
	}
	return pointers(a.refused(400, allocator.CodeInvalid))
}

// A repeat under the same key is answered with the same webhook and secret.
func TestWebhookIsMadeOnce(t *testing.T) {
	w := serve(t, Options{Dev: true, Webhooks: fakeHooks(t)}, &fake{})
	ask := func(body string) answer {
		return w.staff("POST", "/v1/webhooks", body, "Idempotency-Key", `"once"`)
	}
	first, again := ask(`{"url":"https://example.org/a"}`).wants(201), ask(`{"url":"https://example.org/a"}`).wants(201)
	if string(first.body) != string(again.body) || first.header.Get("Location") == "" {
		t.Errorf("%s\n%s", first.body, again.body)
	}
	ask(`{"url":"https://example.org/b"}`).refused(422, allocator.CodeIdempotencyMismatch)
}

// A server without webhooks says so.
func TestNoWebhooks(t *testing.T) {
	w := serve(t, Options{Dev: true}, &fake{})
	w.staff("GET", "/v1/webhooks", "").refused(404, CodeNotFound)
}
