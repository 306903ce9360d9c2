package webhooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"muster/allocator"
	"muster/publicweb"
)

// message is one event on its way to one endpoint.
type message struct {
	id     string           // the same at every attempt
	site   allocator.SiteID // messages of one site are sent one after the other
	cursor string
	before string // the cursor to go on from where this is the first that was not delivered
	seen   int    // how many of the batch's seen events lie before it
	at     time.Time
	body   func() ([]byte, error)
}

// envelope is the body that the specification recommends.
type envelope struct {
	Type      string `json:"type"`
	Timestamp string `json:"timestamp"`
	Data      any    `json:"data"`
}

func body(kind string, at time.Time, data any) ([]byte, error) {
	return json.Marshal(envelope{kind, at.UTC().Format(time.RFC3339Nano), data})
}

const (
	// answerTime is how long an endpoint may take for its answer.
	answerTime = 20 * time.Second
	// answerBytes is how much of an answer is read, so that its connection can be used again.
	answerBytes = 16 << 10
)

// sender sends messages over HTTP. Safe for concurrent use.
type sender struct {
	client *http.Client
	now    func() time.Time
}

func newSender(transport http.RoundTripper, now func() time.Time) *sender {
	return &sender{&http.Client{
		Transport: transport, Timeout: answerTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, now}
}

// send makes one attempt. A nil failure says that the endpoint took the message; err that ctx ended, and nobody knows.
func (s *sender) send(ctx context.Context, url string, keys [][]byte, m *message) (status int, f *failure, err error) {
	content, err := m.body()
	if err != nil {
		return 0, &failure{problem: "the event cannot be written"}, nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(content))
	if err != nil {
		return 0, &failure{problem: "the URL cannot be used"}, nil
	}
	now := s.now()
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "muster")
	request.Header.Set("webhook-id", m.id)
	request.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("webhook-signature", signatures(keys, m.id, now, content))
	answer, err := s.client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return 0, nil, ctx.Err()
		}
		return 0, &failure{problem: problemOf(err)}, nil
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, answerBytes) // what it says is of no interest
	return answer.StatusCode, judge(answer, now), nil
}

// judge says what an answer means: anything but 2xx is a failure, redirects included.
func judge(answer *http.Response, now time.Time) *failure {
	if answer.StatusCode/100 == 2 {
		return nil
	}
	return &failure{
		problem: fmt.Sprintf("the endpoint answered %d", answer.StatusCode), gone: answer.StatusCode == http.StatusGone,
		retryAfter: retryAfter(answer.Header.Get("Retry-After"), now),
	}
}

// retryAfter reads seconds or a date; 0 where there is neither.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(header, 10, 64); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, int64(longestRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// problemOf tells the owner what went wrong, and nothing of the network on this side.
func problemOf(err error) string {
	var unknown *net.DNSError
	var late net.Error
	switch {
	case errors.Is(err, publicweb.ErrRefused) || errors.As(err, &unknown): // not told apart: names here are nobody's business
		return "the URL's host is not known, or not on the public internet"
	case errors.As(err, &late) && late.Timeout():
		return fmt.Sprintf("the endpoint did not answer within %d s", int(answerTime.Seconds()))
	}
	return "no connection, or it broke before an answer"
}
