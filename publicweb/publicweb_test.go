package publicweb

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestPublicAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "2a00:1450::1": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false,
		"224.0.0.1": false, "255.255.255.255": false, "192.0.2.1": false, "198.18.0.1": false, "::": false, "::1": false, "fe80::1": false, "fc00::1": false,
		"fd00:ec2::254": false, "ff02::1": false, "::ffff:10.0.0.1": false, "64:ff9b::a00:1": false, "2002:7f00:1::": false, "2001:db8::1": false,
	} {
		if Public(netip.MustParseAddr(text)) != want {
			t.Errorf("%s is public: %v", text, !want)
		}
	}
}

// What is dialled decides, whatever the URL looks like; whoever allows private addresses reaches them.
func TestTransportDialsPublicAddresses(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()
	at := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	if _, err := (&http.Client{Transport: Transport(false, "--private")}).Get(at); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "--private") {
		t.Errorf("a private address: %v", err)
	}
	answer, err := (&http.Client{Transport: Transport(true, "")}).Get(at)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestCheckURL(t *testing.T) {
	for text, want := range map[string]bool{
		"https://example.org/x": true, "http://example.org:81": true,
		"ftp://example.org": false, "https://": false, "https:///x": false, "https://a:b@example.org": false, "//example.org": false,
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckURL(u); (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
