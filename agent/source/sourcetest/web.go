// Package sourcetest is a web server that does whatever web servers do, for tests.
package sourcetest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"theseus/agent/source"
)

// Unhurried is a pace that leaves a source as much time as a slow machine needs.
var Unhurried = source.Pace{Stall: time.Minute, Patience: 3 * time.Minute, Pause: 10 * time.Millisecond, Longest: 100 * time.Millisecond}

// Case is a way to serve a package, and what must come of it.
type Case struct {
	Name  string
	Code  string // of the error; empty: the package comes all the same
	Words string // of its message; … where the end of patience may have cut the last try short
	Tries int    // that are needed, where it comes
	serve func(a *answer)

	stall, patience time.Duration // where nothing but time ends a try, or all of them
}

// Pace is Unhurried but for what the case itself waits for.
func (c Case) Pace() source.Pace {
	p := Unhurried
	if c.patience > 0 {
		p.Stall, p.Patience = c.patience, c.patience
	}
	if c.stall > 0 {
		p.Stall = c.stall
	}
	return p
}

// Tells says whether a message has the words of the case.
func (c Case) Tells(message string) bool {
	for part := range strings.SplitSeq(c.Words, "…") {
		_, rest, found := strings.Cut(message, part)
		if !found {
			return false
		}
		message = rest
	}
	return true
}

// answer is one to a request.
type answer struct {
	http.ResponseWriter
	asked   *http.Request
	content []byte
	try     int // the number of the request, from 1
}

const tag = `"one"`

// whole is what a good server answers, with ranges and a tag.
func (a *answer) whole() { a.tagged(tag, a.content) }

func (a *answer) tagged(tag string, content []byte) {
	a.Header().Set("ETag", tag)
	http.ServeContent(a, a.asked, "app.tar.gz", time.Time{}, bytes.NewReader(content))
}

// cutAfter sends so much of what is asked for, and hangs up.
func (a *answer) cutAfter(n int) {
	first := a.begin()
	_, _ = a.Write(a.content[first:min(first+n, len(a.content))])
	a.hangUp()
}

// begin writes the head of an answer that has all from the range asked for, and returns where that is.
func (a *answer) begin() (first int) {
	a.Header().Set("ETag", tag)
	status := http.StatusOK
	if from := a.asked.Header.Get("Range"); from != "" {
		first, _ = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(from, "bytes="), "-"))
		a.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, len(a.content)-1, len(a.content)))
		status = http.StatusPartialContent
	}
	a.Header().Set("Content-Length", strconv.Itoa(len(a.content)-first))
	a.WriteHeader(status)
	return first
}

func (a *answer) hangUp() {
	out := http.NewResponseController(a.ResponseWriter)
	_ = out.Flush()
	if conn, _, err := out.Hijack(); err == nil {
		conn.Close()
	}
}

// hang sends nothing more.
func (a *answer) hang() {
	_ = http.NewResponseController(a.ResponseWriter).Flush()
	<-a.asked.Context().Done()
}

// refuse answers with a status, and when to come again.
func (a *answer) refuse(status int, after string) {
	if after != "" {
		a.Header().Set("Retry-After", after)
	}
	a.WriteHeader(status)
}

// endless writes without a length until nobody reads any more, so much at a time and with a pause before each.
func (a *answer) endless(piece int, pause time.Duration) {
	wait := time.NewTicker(max(pause, time.Nanosecond))
	defer wait.Stop()
	for {
		if _, err := a.Write(make([]byte, piece)); err != nil {
			return
		}
		_ = http.NewResponseController(a.ResponseWriter).Flush()
		select {
		case <-a.asked.Context().Done():
			return
		case <-wait.C:
		}
	}
}

// Cases are the ways.
func Cases() []Case {
	return []Case{
		{Name: "good", Tries: 1, serve: (*answer).whole},
		{Name: "without a length", Tries: 1, serve: func(a *answer) {
			_, _ = a.Write(a.content[:1])
			_ = http.NewResponseController(a.ResponseWriter).Flush()
			_, _ = a.Write(a.content[1:])
		}},
		{Name: "leads on", Tries: 2, serve: func(a *answer) {
			if a.try == 1 {
				http.Redirect(a, a.asked, a.asked.URL.Path+"?token=secret", http.StatusFound)
				return
			}
			a.whole()
		}},
		{Name: "cut once", Tries: 2, serve: func(a *answer) {
			if a.try == 1 {
				a.cutAfter(len(a.content) / 3)
				return
			}
			a.whole()
		}},
		{Name: "cut again and again", Tries: 5, serve: func(a *answer) { a.cutAfter(len(a.content)/5 + 1) }},
		{Name: "cut at once", Tries: 2, serve: func(a *answer) {
			if a.try == 1 {
				a.hangUp()
				return
			}
			a.whole()
		}},
		{Name: "cut, and without ranges", Tries: 2, serve: func(a *answer) {
			a.asked.Header.Del("Range")
			if a.try == 1 {
				a.cutAfter(len(a.content) / 2)
				return
			}
			a.whole()
		}},
		{Name: "stalls once", Tries: 2, stall: 5 * time.Second, serve: func(a *answer) {
			if a.try > 1 {
				a.whole()
				return
			}
			_, _ = a.Write(a.content[:a.begin()+len(a.content)/2])
			a.hang()
		}},
		{Name: "calls it compressed, which a package is", Tries: 1, serve: func(a *answer) {
			a.Header().Set("Content-Encoding", "gzip")
			_, _ = a.Write(a.content)
		}},
		{Name: "answers 500 once", Tries: 2, serve: func(a *answer) { a.refusesOnce(http.StatusInternalServerError, "") }},
		{Name: "answers 429 once", Tries: 2, serve: func(a *answer) { a.refusesOnce(http.StatusTooManyRequests, "1") }},

		{Name: "stalls", Code: "source-lost", Words: "it does not answer; it was tried", stall: time.Second, patience: 4 * time.Second, serve: func(a *answer) {
			_, _ = a.Write(a.content[:a.begin()+1])
			a.hang()
		}},
		{Name: "never answers", Code: "source-lost", Words: "it does not answer; it was tried", stall: time.Second, patience: 4 * time.Second, serve: func(a *answer) {
			<-a.asked.Context().Done()
		}},
		{Name: "always cut at the same place", Code: "source-lost", Words: "the connection was cut…; it was tried", patience: 4 * time.Second, serve: func(a *answer) {
			if first := a.begin(); first == 0 {
				_, _ = a.Write(a.content[:len(a.content)/2])
			}
			a.hangUp()
		}},
		{Name: "trickles", Code: "source-lost", Words: "cannot read", patience: 4 * time.Second, serve: func(a *answer) { a.endless(1, 5*time.Millisecond) }},
		{Name: "says that it is longer", Code: "source-lost", Words: "it ends after", serve: func(a *answer) {
			if a.asked.Header.Get("Range") != "" {
				a.whole()
				return
			}
			a.Header().Set("ETag", tag)
			a.Header().Set("Content-Length", strconv.Itoa(len(a.content)+1000))
			_, _ = a.Write(a.content)
		}},
		{Name: "says that it is shorter", Code: "wrong-digest", Words: "its sha256 is", serve: func(a *answer) {
			a.Header().Set("Content-Length", strconv.Itoa(len(a.content)-1000))
			_, _ = a.Write(a.content[:len(a.content)-1000])
		}},
		{Name: "compresses it once more", Code: "wrong-digest", Words: "its sha256 is", serve: func(a *answer) {
			a.Header().Set("Content-Encoding", "gzip")
			again := gzip.NewWriter(a)
			_, _ = again.Write(a.content)
			_ = again.Close()
		}},
		{Name: "sends more than the range", Code: "source-lost", Words: "it sends more than the", serve: func(a *answer) {
			if a.asked.Header.Get("Range") == "" {
				a.cutAfter(len(a.content) / 2)
				return
			}
			a.Header().Set("ETag", tag)
			a.Header().Set("Content-Range", fmt.Sprintf("bytes %s%d/%d", strings.TrimPrefix(a.asked.Header.Get("Range"), "bytes="), len(a.content)-1, len(a.content)))
			a.WriteHeader(http.StatusPartialContent)
			_ = http.NewResponseController(a.ResponseWriter).Flush()
			_, _ = a.Write(a.content)
		}},
		{Name: "answers with several ranges", Code: "source-lost", Words: "asked for what follows", serve: func(a *answer) {
			if a.asked.Header.Get("Range") == "" {
				a.cutAfter(len(a.content) / 2)
				return
			}
			a.asked.Header.Del("If-Range")
			a.asked.Header.Set("Range", "bytes=0-9,20-29")
			a.whole()
		}},
		{Name: "another one", Code: "wrong-digest", Words: "its sha256 is", serve: func(a *answer) { a.tagged(tag, changed(a.content)) }},
		{Name: "changes after a cut", Code: "source-lost", Words: "it has changed since", serve: func(a *answer) {
			if a.try == 1 {
				a.cutAfter(len(a.content) / 2)
				return
			}
			a.tagged(`"two"`, changed(a.content)) // to which If-Range does not fit
		}},
		{Name: "changes after a cut, and ignores If-Range", Code: "source-lost", Words: "it has changed since", serve: func(a *answer) {
			if a.try == 1 {
				a.cutAfter(len(a.content) / 2)
				return
			}
			a.asked.Header.Del("If-Range")
			a.tagged(`"two"`, changed(a.content))
		}},
		{Name: "changes after a cut, without a tag", Code: "wrong-digest", Words: "its sha256 is", serve: func(a *answer) {
			if a.try == 1 {
				a.Header().Set("Content-Length", strconv.Itoa(len(a.content)))
				_, _ = a.Write(a.content[:len(a.content)/2])
				a.hangUp()
				return
			}
			http.ServeContent(a, a.asked, "", time.Time{}, bytes.NewReader(changed(a.content)))
		}},
		{Name: "answers with another range", Code: "source-lost", Words: "asked for what follows", serve: func(a *answer) {
			if a.try == 1 {
				a.cutAfter(len(a.content) / 2)
				return
			}
			a.asked.Header.Set("Range", "bytes=1-")
			a.whole()
		}},
		{Name: "never ends", Code: "too-large", Words: "the package is larger than", serve: func(a *answer) { a.endless(1<<20, 0) }},
		{Name: "empty", Code: "no-package", Words: "it is empty", serve: func(a *answer) { a.WriteHeader(http.StatusOK) }},
		{Name: "leads on and on", Code: "source-lost", Words: "it leads on more than 5 times", serve: func(a *answer) {
			http.Redirect(a, a.asked, a.asked.URL.Path, http.StatusFound)
		}},
		{Name: "speaks something else", Code: "source-lost", Words: "malformed HTTP", patience: 4 * time.Second, serve: func(a *answer) {
			if conn, _, err := http.NewResponseController(a.ResponseWriter).Hijack(); err == nil {
				_, _ = conn.Write([]byte("220 mail.example.org ESMTP\r\n"))
				conn.Close()
			}
		}},
		{Name: "answers 404", Code: "no-package", Words: "it answers 404 Not Found", serve: func(a *answer) { a.refuse(http.StatusNotFound, "") }},
		{Name: "answers 401", Code: "no-package", Words: "it answers 401 Unauthorized", serve: func(a *answer) { a.refuse(http.StatusUnauthorized, "") }},
		{Name: "answers 500", Code: "source-lost", Words: "it answers 500 Internal Server Error…; it was tried", patience: 4 * time.Second, serve: func(a *answer) {
			a.refuse(http.StatusInternalServerError, "")
		}},
		{Name: "answers 503 for an hour", Code: "source-lost", Words: "it answers 503 Service Unavailable, and not before 1h0m0s have passed", serve: func(a *answer) {
			a.refuse(http.StatusServiceUnavailable, "3600")
		}},
	}
}

func (a *answer) refusesOnce(status int, after string) {
	if a.try == 1 {
		a.refuse(status, after)
		return
	}
	a.whole()
}

func changed(content []byte) []byte {
	other := bytes.Clone(content)
	other[len(other)-1] ^= 1
	return other
}

// Web is a server of all cases.
type Web struct {
	*httptest.Server
	mu    sync.Mutex
	tries map[int]int
}

// NewWeb serves a package in the ways of cases until the test ends. There is no signature beside any of them.
func NewWeb(t *testing.T, content []byte, cases []Case) *Web {
	t.Helper()
	web := &Web{tries: map[int]int{}}
	web.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var number int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d/app.tar.gz", &number); err != nil || strings.HasSuffix(r.URL.Path, ".minisig") {
			http.NotFound(w, r)
			return
		}
		cases[number].serve(&answer{w, r, content, web.try(number)})
	}))
	t.Cleanup(web.Close)
	return web
}

func (w *Web) try(number int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tries[number]++
	return w.tries[number]
}

// Tries is how many requests there were for a case.
func (w *Web) Tries(number int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tries[number]
}

// Package is the address of the package as a case serves it.
func (w *Web) Package(number int) string { return fmt.Sprintf("%s/%d/app.tar.gz", w.URL, number) }
