package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"muster/allocator"
)

func dayLine(site, date string) string {
	return fmt.Sprintf(`{"siteId":%q,"date":%q,"sessions":[{"from":"09:00","until":"12:00","slotLength":10,"capacity":2,"services":["RSV:Adult"]}]}`, site, date)
}

type result struct {
	Line     int      `json:"line"`
	SiteID   string   `json:"siteId"`
	Revision *int64   `json:"revision"`
	Problem  *problem `json:"problem"`
}

func results(t *testing.T, body []byte) (all []result) {
	t.Helper()
	scanner := bufio.NewScanner(bytes.NewReader(body))
	for scanner.Scan() {
		var r result
		if err := json.Unmarshal(scanner.Bytes(), &r); err != nil {
			t.Fatalf("%v: %s", err, scanner.Bytes())
		}
		all = append(all, r)
	}
	return all
}

func (w *world) upload(body string) answer {
	return w.staff("POST", "/v1/capacity", body, "Content-Type", "application/x-ndjson")
}

func TestUploadResults(t *testing.T) {
	engine := &fake{}
	engine.publishMany = func(_ context.Context, reqs []allocator.PublishRequest) ([]allocator.PublishReply, []error) {
		replies, errs := make([]allocator.PublishReply, len(reqs)), make([]error, len(reqs))
		for i, r := range reqs {
			replies[i].Revision = 1
			switch {
			case r.Site == "unknown":
				errs[i] = allocator.Refuse(allocator.CodeSiteUnknown, "no such site")
			case r.Site == "broken":
				errs[i] = errors.New("secret cause")
			case r.IfMatch != nil && *r.IfMatch == 6:
				errs[i] = allocator.Refuse(allocator.CodeRevisionMismatch, "changed")
			case r.Caller.Client != "dev" || r.Day.Site != r.Site || len(r.Day.Sessions) != 1:
				t.Errorf("the engine got %+v", r)
			}
		}
		return replies, errs
	}
	w := serve(t, Options{Dev: true}, engine)
	huge := `{"siteId":"` + strings.Repeat("x", 2<<20) + `"}`
	body := strings.Join([]string{
		dayLine("A", "2027-06-01"), // 1
		"{not json",                // 2
		dayLine("unknown", "2027-06-01"),
		"", // 4: not answered
		huge,
		strings.Replace(dayLine("A", "2027-06-02"), `"date"`, `"ifMatch":6,"date"`, 1) + "\r",
		dayLine("A", "2027-02-30"),
		`{"siteId":"A","date":"2027-06-01"}`,
		"{\"siteId\":\"\xff\"}",
		dayLine("broken", "2027-06-01"),
		"  " + dayLine("B", "2027-06-01"), // 11, without a line feed
	}, "\n")
	a := w.upload(body).wants(200)
	if got := a.header.Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("content type %q", got)
	}
	want := []struct {
		line, status int
		code         allocator.Code
	}{{1, 0, ""}, {2, 400, allocator.CodeInvalid}, {3, 404, allocator.CodeSiteUnknown}, {5, 413, allocator.CodeInvalid}, {6, 412, allocator.CodeRevisionMismatch},
		{7, 400, allocator.CodeInvalid}, {8, 400, allocator.CodeInvalid}, {9, 400, allocator.CodeInvalid}, {10, 500, allocator.CodeInternal}, {11, 0, ""}}
	got := results(t, a.body)
	if len(got) != len(want) {
		t.Fatalf("%d results: %s", len(got), a.body)
	}
	for i, r := range got {
		if r.Line != want[i].line || (r.Problem == nil) != (want[i].status == 0) || (r.Revision == nil) == (want[i].status == 0) {
			t.Errorf("result %+v, want %+v", r, want[i])
			continue
		}
		if r.Problem != nil && (r.Problem.Status != want[i].status || r.Problem.Code != want[i].code) {
			t.Errorf("line %d: %+v, want %+v", r.Line, r.Problem, want[i])
		}
	}
	uploadLeaksNothing(t, w, a, got)
}

// uploadLeaksNothing checks causes, pointers and the form of the result lines.
func uploadLeaksNothing(t *testing.T, w *world, a answer, got []result) {
	t.Helper()
	if bytes.Contains(a.body, []byte("secret")) || !strings.Contains(w.logs.String(), "secret cause") {
		t.Error("the cause of an internal error belongs into the log and not into the reply")
	}
	if p := got[5].Problem; pointers(*p) != "[/date]" {
		t.Errorf("%+v", p)
	}
	doc := spec(t)
	for _, l := range bytes.Split(bytes.TrimSpace(a.body), []byte("\n")) {
		var v any
		if err := json.Unmarshal(l, &v); err != nil {
			t.Fatal(err)
		}
		if err := doc.Components.Schemas["CapacityResult"].Value.VisitJSON(v); err != nil {
			t.Errorf("%s: %v", l, err)
		}
	}
	if len(results(t, w.upload("\n\n").wants(200).body)) != 0 {
		t.Error("blank lines are answered")
	}
}

// TestUploadKeepsOrder: changes of a day come to the engine one after the other, and no batch is larger than allowed.
func TestUploadKeepsOrder(t *testing.T) {
	engine := &fake{}
	var order []string
	engine.publishMany = func(_ context.Context, reqs []allocator.PublishRequest) ([]allocator.PublishReply, []error) {
		seen := map[string]bool{}
		for _, r := range reqs {
			day := string(r.Site) + r.Date.String()
			if seen[day] {
				t.Errorf("%s is twice in a batch", day)
			}
			seen[day] = true
			order = append(order, day)
		}
		return make([]allocator.PublishReply, len(reqs)), make([]error, len(reqs))
	}
	w := serve(t, Options{Dev: true}, engine)
	var lines, want []string
	for n := range 300 {
		site, date := fmt.Sprintf("S%d", n%7), fmt.Sprintf("2027-06-%02d", 1+n%5)
		lines, want = append(lines, dayLine(site, date)), append(want, site+date)
	}
	got := results(t, w.upload(strings.Join(lines, "\n")).body)
	if len(got) != 300 || strings.Join(order, " ") != strings.Join(want, " ") {
		t.Errorf("%d results; order %v", len(got), order)
	}
	for i, r := range got {
		if r.Line != i+1 {
			t.Fatalf("result %d is of line %d", i+1, r.Line)
		}
	}
	for _, n := range engine.batches {
		if n > maxQueueLines {
			t.Errorf("a batch of %d", n)
		}
	}
}

// TestUploadAnswersWhileReading: a client may wait for each result before it sends the next line.
func TestUploadAnswersWhileReading(t *testing.T) {
	w := serve(t, Options{Dev: true}, &fake{})
	in, out := io.Pipe()
	req, err := http.NewRequest("POST", "http://muster.test/v1/capacity", in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer dev")
	res, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	reader := bufio.NewReader(res.Body)
	for n := 1; n <= 5; n++ {
		if _, err := io.WriteString(out, dayLine("A", "2027-06-01")+"\n"); err != nil {
			t.Fatal(err)
		}
		text, err := reader.ReadString('\n')
		if err != nil || !strings.HasPrefix(text, fmt.Sprintf(`{"line":%d,`, n)) {
			t.Fatalf("%q %v", text, err)
		}
	}
	out.Close()
	if rest, err := io.ReadAll(reader); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
}

// TestUploadBreaksOff: of a line that is not finished nothing is done, even where it would decode.
func TestUploadBreaksOff(t *testing.T) {
	engine := &fake{}
	w := serve(t, Options{Dev: true, StreamIdle: 300 * time.Millisecond}, engine)
	c := w.dial()
	defer c.Close()
	whole, half := dayLine("A", "2027-06-01")+"\n", dayLine("A", "2027-06-02")
	c.send("POST /v1/capacity HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer dev\r\nTransfer-Encoding: chunked\r\n\r\n" +
		fmt.Sprintf("%x\r\n%s\r\n%x\r\n%s\r\n", len(whole), whole, len(half), half)) // and then silence
	got := results(t, c.response().wants(200).body)
	if len(got) != 2 || got[0].Problem != nil || got[1].Line != 2 || got[1].Problem == nil || got[1].Problem.Code != allocator.CodeInvalid {
		t.Errorf("%+v", got)
	}
	if fmt.Sprint(engine.batches) != "[1]" {
		t.Errorf("batches %v", engine.batches)
	}
}

// TestUploadEndsWithItsClient: a client that goes away leaves no goroutine, no gate and no buffer behind.
func TestUploadEndsWithItsClient(t *testing.T) {
	w := serve(t, Options{Dev: true, Admission: Admission{Bulk: Gate{Concurrency: 1, Queue: 1, Wait: 5 * time.Second}}}, &fake{})
	for range 5 {
		c := w.dial()
		line := dayLine("A", "2027-06-01") + "\n"
		c.send("POST /v1/capacity HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer dev\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", len(line), line))
		if b, err := c.reader.ReadByte(); err != nil || b != 'H' {
			t.Fatal(b, err)
		}
		c.Close()
	}
	w.upload(dayLine("A", "2027-06-01")).wants(200) // passes the gate only when the others have left it
}

// TestUploadIsBounded sends far more than may be kept, and watches the heap.
func TestUploadIsBounded(t *testing.T) {
	engine := &fake{}
	w := serve(t, Options{Dev: true}, engine)
	in, out := io.Pipe()
	const lines = 8_000
	go func() {
		text := dayLine("A", "2027-06-01") + strings.Repeat(" ", 800) + "\n"
		for range lines {
			if _, err := io.WriteString(out, text); err != nil {
				return
			}
		}
		out.Close()
	}()
	req, err := http.NewRequest("POST", "http://muster.test/v1/capacity", in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer dev")
	res, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n, scanner := 0, bufio.NewScanner(res.Body)
	for scanner.Scan() {
		if n++; n == lines/2 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			if now.HeapAlloc > before.HeapAlloc+8<<20 {
				t.Errorf("%d MiB more in the middle of the upload", (now.HeapAlloc-before.HeapAlloc)>>20)
			}
		}
	}
	if n != lines || scanner.Err() != nil {
		t.Errorf("%d results, %v", n, scanner.Err())
	}
}

func TestUploadPanics(t *testing.T) {
	engine := &fake{}
	engine.publishMany = func(context.Context, []allocator.PublishRequest) ([]allocator.PublishReply, []error) { panic("boom") }
	w := serve(t, Options{Dev: true}, engine)
	c := w.dial()
	defer c.Close()
	line := dayLine("A", "2027-06-01")
	c.send("POST /v1/capacity HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer dev\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(line), line))
	if _, err := io.ReadAll(c.reader); err != nil { // the connection just ends: the head of the reply was sent long ago
		t.Log(err)
	}
	engine.publishMany = nil
	w.upload(line).wants(200)
}
