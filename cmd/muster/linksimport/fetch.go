package linksimport

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"muster/publicweb"
)

// A manifest names addresses, and its publisher chooses them: see package publicweb.

// fetcher opens files.
type fetcher struct {
	client   *http.Client
	manifest *url.URL // without credentials
	user     *url.Userinfo
	limits   Limits
}

func newFetcher(manifest *url.URL, allowPrivate bool, limits Limits) *fetcher {
	plain := *manifest
	plain.User, plain.Fragment = nil, ""
	f := &fetcher{manifest: &plain, user: manifest.User, limits: limits}
	transport := publicweb.Transport(allowPrivate, "--allow-private")
	transport.ResponseHeaderTimeout, transport.DisableCompression = limits.Stall, true
	f.client = &http.Client{CheckRedirect: f.redirect, Transport: transport}
	return f
}

// redirect looks at where the next request goes; its address is looked at when it is dialled.
func (f *fetcher) redirect(next *http.Request, before []*http.Request) error {
	if len(before) > f.limits.Redirects {
		return publicweb.Refuse("more than %d redirects one after the other", f.limits.Redirects)
	}
	if err := publicweb.CheckURL(next.URL); err != nil {
		return err
	}
	if before[len(before)-1].URL.Scheme == "https" && next.URL.Scheme == "http" {
		return publicweb.Refuse("a redirect leads from https to http")
	}
	f.authorise(next)
	return nil
}

// authorise sends the manifest's credentials to its own scheme, host and port alone.
func (f *fetcher) authorise(request *http.Request) {
	request.Header.Del("Authorization")
	request.Header.Del("Referer")
	if f.user != nil && request.URL.Scheme == f.manifest.Scheme && request.URL.Host == f.manifest.Host {
		password, _ := f.user.Password()
		request.SetBasicAuth(f.user.Username(), password)
	}
}

// document is a file that is being read, unpacked.
type document struct {
	*bufio.Reader
	at          *url.URL // after redirects
	contentType string   // without parameters
	gunzipped   bool     // though the headers did not say so
	close       func()
}

// tries is how often a file is asked for.
const tries = 3

// open asks for a file, again where the network or the other server failed before anything was read.
func (f *fetcher) open(ctx context.Context, at *url.URL, accept string, plainBytes int64) (*document, error) {
	wait := f.limits.RetryAfter
	for try := 1; ; try++ {
		d, again, err := f.try(ctx, at, accept, plainBytes)
		if err == nil || !again || try == tries || errors.Is(err, publicweb.ErrRefused) {
			return d, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
		wait *= 2
	}
}

func (f *fetcher) try(ctx context.Context, at *url.URL, accept string, plainBytes int64) (_ *document, again bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		cancel()
		return nil, false, err
	}
	request.Header.Set("Accept", accept)
	request.Header.Set("Accept-Encoding", "gzip")
	request.Header.Set("User-Agent", "muster")
	f.authorise(request)
	response, err := f.client.Do(request)
	if err != nil {
		cancel()
		return nil, true, err
	}
	stalled := time.AfterFunc(f.limits.Stall, cancel)
	d := &document{at: response.Request.URL, close: func() {
		stalled.Stop()
		cancel()
		_ = response.Body.Close() // what was not read is not wanted
	}}
	if response.StatusCode != http.StatusOK {
		d.close()
		return nil, response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests, fmt.Errorf("the server answers %s", response.Status)
	}
	d.contentType, _, _ = mime.ParseMediaType(response.Header.Get("Content-Type"))
	moving := &watched{response.Body, stalled, f.limits.Stall}
	if err := d.unpack(moving, response.Header.Get("Content-Encoding"), f.limits.PackedBytes, plainBytes); err != nil {
		d.close()
		return nil, false, err
	}
	return d, false, nil
}

// unpack puts the bounds around a body, and gzip between them.
func (d *document) unpack(body io.Reader, encoding string, packedBytes, plainBytes int64) error {
	packed := bufio.NewReader(&bounded{body, packedBytes, "as it was sent"})
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "gzip", "x-gzip":
	case "", "identity":
		magic, _ := packed.Peek(2) // an error comes again when it is read
		if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
			d.Reader = bufio.NewReaderSize(&bounded{packed, plainBytes, "unpacked"}, 64<<10)
			return nil
		}
		d.gunzipped = true
	default:
		return fmt.Errorf("is packed as %.200q, which was not asked for", encoding)
	}
	plain, err := gzip.NewReader(packed)
	if err != nil {
		return err
	}
	d.Reader = bufio.NewReaderSize(&bounded{plain, plainBytes, "unpacked"}, 64<<10)
	return nil
}

// watched ends a request that stalls.
type watched struct {
	io.Reader
	timer *time.Timer
	stall time.Duration
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	w.timer.Reset(w.stall)
	return n, err
}

// bounded fails where there is more to read than allowed.
type bounded struct {
	io.Reader
	left int64
	what string
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.Reader.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, publicweb.Refuse("the file is larger than it may be, %s", b.what)
	}
	return n, err
}
