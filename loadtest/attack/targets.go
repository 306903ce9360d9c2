package attack

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"muster/loadtest/audit"
	"muster/loadtest/profile"
	"muster/loadtest/result"
)

// WriteTargets writes targets of Vegeta's JSON format for so many people: each one's search, and for those who come to book, a
// look at the nearest site's times and a hold there. It asks the server for them, one person after the other, and takes no place:
// holds are written, and not sent. A hold's answer names what confirms it, so confirms cannot be written down beforehand.
func WriteTargets(ctx context.Context, out io.Writer, c Config, people int) error {
	client := &http.Client{Timeout: 10 * time.Second}
	encode := vegeta.NewJSONTargetEncoder(out)
	base := strings.TrimSuffix(c.Target.String(), "/")
	for n := range uint64(people) {
		w := &world{tries: 1, services: c.Services, from: c.From, to: c.To, seed: c.Seed, recorder: result.NewRecorder(time.Second), evidence: audit.NewEvidence(),
			phantoms: newPhantoms()}
		j := w.begin(c.Crowd.Citizen(n))
		for !j.over {
			if err := encode(targetOf(base, &j.request)); err != nil {
				return err
			}
			if j.request.Step == result.Hold || j.who.Journey == profile.Browse && j.searches > 0 {
				break
			}
			reply, err := fetch(ctx, client, base+j.request.Path)
			if err != nil {
				return err
			}
			before := j.searches
			j.heard(reply, 0)
			if before > 0 && j.searches == before && j.request.Step == result.Search {
				break // it would look again and again
			}
		}
	}
	return nil
}

func targetOf(base string, q *Request) *vegeta.Target {
	t := &vegeta.Target{Method: q.Method, URL: base + q.Path, Body: q.Body, Header: http.Header{}}
	if q.Body != nil {
		t.Header.Set("Content-Type", "application/json")
	}
	if q.Key != "" {
		t.Header.Set("Idempotency-Key", q.Key)
	}
	return t
}

// fetch asks for something that changes nothing.
func fetch(ctx context.Context, client *http.Client, url string) (Reply, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Reply{}, err
	}
	reply, err := client.Do(request)
	if err != nil {
		return Reply{}, err
	}
	defer reply.Body.Close()
	var body json.RawMessage
	err = json.NewDecoder(io.LimitReader(reply.Body, 16<<20)).Decode(&body)
	return Reply{Status: reply.StatusCode, Body: body}, err
}
