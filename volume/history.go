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

// historyBytes is what history.jsonl may have; then it becomes the older half, in the place of the one before it. An
// upgrade has 3 KB of it.
const historyBytes = 4 << 20

func (v *Volume) historyPath() string { return v.agentPath("history.jsonl") }

func (v *Volume) olderHistoryPath() string { return v.agentPath("history.old.jsonl") }

// RecordHistory appends one value; durably, or with the next one that is. A line that a crash has torn is ended
// first, so that it spoils nothing but itself.
func (v *Volume) RecordHistory(line any, durable bool) error {
	content, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("cannot record the history: %w", err)
	}
	v.historyMu.Lock()
	defer v.historyMu.Unlock()
	if err := v.turnHistory(historyBytes); err != nil {
		return fmt.Errorf("cannot record the history: %w", err)
	}
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

// turnHistory begins a new file where the last one is full. A crash behind the rename leaves no newer half, which is
// nothing wrong.
func (v *Volume) turnHistory(limit int64) error {
	info, err := os.Stat(v.historyPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || info.Size() < limit {
		return err
	}
	return rename(v.historyPath(), v.olderHistoryPath())
}

func afterTorn(f io.ReaderAt, end int64, line []byte) []byte {
	last := []byte("\n")
	if _, err := f.ReadAt(last, end-1); end > 0 && err == nil && last[0] != '\n' {
		return append([]byte("\n"), line...)
	}
	return line
}

// History returns the last values that were recorded, oldest first; all that are left of them when limit is 0. Lines that
// are torn are left out.
func (v *Volume) History(limit int) ([]json.RawMessage, error) {
	v.historyMu.Lock()
	defer v.historyMu.Unlock()
	var lines []json.RawMessage
	for _, path := range []string{v.olderHistoryPath(), v.historyPath()} {
		content, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cannot read the history: %w", err)
		}
		for line := range bytes.Lines(content) {
			if json.Valid(line) && len(bytes.TrimSpace(line)) > 0 {
				lines = append(lines, json.RawMessage(bytes.TrimSpace(line)))
			}
		}
	}
	if limit > 0 && len(lines) > limit {
		lines = lines[len(lines)-limit:]
	}
	return lines, nil
}
