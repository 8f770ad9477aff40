package volume

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

func (v *Volume) historyPath() string { return v.agentPath("history.jsonl") }

// RecordHistory appends one value; durably, or with the next one that is. A line that a crash has torn is ended
// first, so that it spoils nothing but itself.
func (v *Volume) RecordHistory(line any, durable bool) error {
	content, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("cannot record the history: %w", err)
	}
	v.historyMu.Lock()
	defer v.historyMu.Unlock()
	f, err := os.OpenFile(v.historyPath(), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("cannot record the history: %w", err)
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Write(afterTorn(f, end, append(content, '\n')))
	}
	if durable {
		err = closeSynced(f, err)
	} else {
		err = errors.Join(err, f.Close())
	}
	if err == nil && end == 0 {
		err = syncDir(v.agentPath())
	}
	if err != nil {
		return fmt.Errorf("cannot record the history: %w", err)
	}
	return nil
}

func afterTorn(f io.ReaderAt, end int64, line []byte) []byte {
	last := []byte("\n")
	if _, err := f.ReadAt(last, end-1); end > 0 && err == nil && last[0] != '\n' {
		return append([]byte("\n"), line...)
	}
	return line
}

// History returns the last values that were recorded, oldest first; all of them when limit is 0. Lines that
// are torn are left out.
func (v *Volume) History(limit int) ([]json.RawMessage, error) {
	v.historyMu.Lock()
	defer v.historyMu.Unlock()
	content, err := os.ReadFile(v.historyPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the history: %w", err)
	}
	var lines []json.RawMessage
	for line := range bytes.Lines(content) {
		if json.Valid(line) && len(bytes.TrimSpace(line)) > 0 {
			lines = append(lines, json.RawMessage(bytes.TrimSpace(line)))
		}
	}
	if limit > 0 && len(lines) > limit {
		lines = lines[len(lines)-limit:]
	}
	return lines, nil
}
