package volume

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	if err := v.appendHistory(append(content, '\n'), durable); err != nil {
		return fmt.Errorf("cannot record the history: %w", err)
	}
	return nil
}

func (v *Volume) appendHistory(line []byte, durable bool) error {
	if err := v.turnHistory(); err != nil {
		return err
	}
	end := closeUnsynced
	if durable {
		end = closeSynced
	}
	empty, torn := v.endOfHistory()
	if torn {
		line = append([]byte("\n"), line...)
	}
	if v.historyLost {
		return v.rewriteHistory(line)
	}
	s := v.step("record the history")
	f, err := s.Append(s.name, v.historyPath(), 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(line)
	if err = end(f, err); err == nil && empty {
		err = s.SyncDir(s.name, v.agentPath())
	}
	v.historyLost = err != nil
	return err
}

// turnHistory makes the last file the older half where it is full. All of it is durable before a new one takes its name.
func (v *Volume) turnHistory() error {
	info, err := v.disk.Lstat(v.historyPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", v.historyPath())
	}
	if err != nil || v.historyLost || info.Size() < v.history {
		return err
	}
	s := v.step("turn the history")
	f, err := s.Append(s.name, v.historyPath(), 0o600)
	if err != nil {
		return err
	}
	if err := closeSynced(f, nil); err != nil {
		v.historyLost = true
		return err
	}
	if err := s.Rename(s.name, v.historyPath(), v.olderHistoryPath()); err != nil {
		return err
	}
	return s.SyncDir(s.name, v.agentPath())
}

// rewriteHistory begins a new file: of the one before it some lines may never reach the disk, whatever a second fsync says.
func (v *Volume) rewriteHistory(line []byte) error {
	lines, err := readOwn(v.disk, v.historyPath())
	if err != nil {
		return err
	}
	err = v.step("rewrite the history").replaceFile(v.historyPath(), append(lines, line...), 0o600)
	v.historyLost = err != nil
	return err
}

// endOfHistory tells whether there is none yet, or one whose last line has no end.
func (v *Volume) endOfHistory() (empty, torn bool) {
	f, err := v.disk.Open(v.historyPath())
	if err != nil {
		return true, false
	}
	defer f.Close()
	last := []byte("\n")
	if _, err := f.Seek(-1, io.SeekEnd); err != nil {
		return true, false
	}
	_, err = f.Read(last)
	return false, err == nil && last[0] != '\n'
}

// History returns the last values that were recorded, oldest first; all that are left of them when limit is
// 0. Lines that are torn are left out.
func (v *Volume) History(limit int) ([]json.RawMessage, error) {
	v.historyMu.Lock()
	defer v.historyMu.Unlock()
	var lines []json.RawMessage
	for _, path := range []string{v.olderHistoryPath(), v.historyPath()} {
		content, err := readOwn(v.disk, path)
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
