package control

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// uploaded is how an upload of this body ends for the agent.
func uploaded(t *testing.T, stall time.Duration, body io.Reader) error {
	t.Helper()
	read := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, newUpload(w, r, stall, func() {}))
		read <- err
	}))
	defer server.Close()
	go func() {
		resp, err := server.Client().Post(server.URL, "application/gzip", body)
		if err == nil {
			resp.Body.Close()
		}
	}()
	return <-read
}

func TestAStalledUploadEnds(t *testing.T) {
	body, stalled := io.Pipe()
	defer stalled.Close()
	go io.WriteString(stalled, "the beginning of a package")
	if err := uploaded(t, 50*time.Millisecond, body); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestAnUploadThatTricklesEnds(t *testing.T) {
	body, trickle := io.Pipe()
	over := make(chan struct{})
	go func() {
		defer close(over)
		for drop := time.NewTicker(5 * time.Millisecond); ; <-drop.C {
			if _, err := trickle.Write([]byte("x")); err != nil {
				return
			}
		}
	}()
	if err := uploaded(t, 100*time.Millisecond, body); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	body.Close()
	<-over
}

func TestACompleteUploadHasNoDeadlineLeft(t *testing.T) {
	t.Parallel()
	const stall = 2 * time.Second
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, newUpload(w, r, stall, func() {})); err != nil {
			t.Error(err)
		}
		select {
		case <-r.Context().Done():
			t.Error("the connection ended with the deadline of the upload")
		case <-time.After(stall + time.Second/2): // when the deadline would have come
		}
	}))
	defer server.Close()
	resp, err := server.Client().Post(server.URL, "application/gzip", strings.NewReader("a package"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}
