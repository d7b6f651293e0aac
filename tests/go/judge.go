// SPDX-License-Identifier: MIT

// Judges evidence with golang.org/x/mod/sumdb's note and tlog, which know nothing of rustybt. Reads one
// JSON object a line, answers each with a line: "ok", or what is wrong.
//
//	{"proof": text, "leaf": text, "vkeys": [vkey, …]}        c2sp.org/tlog-proof
//	{"consistency": text, "old_root": base64, "vkeys": […]}  c2sp.org/tlog-witness add-checkpoint
//	{"note": text, "vkeys": […]}                             a signed note, whatever its text
//
// Texts are in base64. Among the keys there must be one of the checkpoint's origin, and every witness
// (cosignature/v1) must have cosigned. What the Go packages let pass, base64 whose unused bits are not
// zero, is refused here, so that every altered byte is found.
package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var strict = base64.StdEncoding.Strict()

// A witness's key: c2sp.org/tlog-cosignature, which the note package does not know.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }
func (w witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	time := binary.BigEndian.Uint64(signature)
	if time > 1<<63-1 {
		return false
	}
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, text)
	return ed25519.Verify(w.key, []byte(message), signature[8:])
}

func verifier(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("a key without its parts")
	}
	key, err := strict.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 4 {
		return note.NewVerifier(vkey)
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	if hex.EncodeToString(sum[:4]) != parts[1] {
		return nil, errors.New("a witness's key id that is not the hash")
	}
	return witness{parts[0], binary.BigEndian.Uint32(sum[:4]), key[1:]}, nil
}

func canonical(text string) ([]byte, error) {
	bytes, err := strict.DecodeString(text)
	if err == nil && strict.EncodeToString(bytes) != text {
		err = errors.New("base64 with more than base64 in it")
	}
	return bytes, err
}

func hash(text string) (h tlog.Hash, err error) {
	bytes, err := canonical(text)
	if err == nil && len(bytes) != len(h) {
		err = errors.New("a hash that has not 32 bytes")
	}
	copy(h[:], bytes)
	return h, err
}

func decimal(text string) (int64, error) {
	number, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (number < 0 || strconv.FormatInt(number, 10) != text) {
		err = errors.New("a number that is not written plainly")
	}
	return number, err
}

// The size and root of a checkpoint that the log and every witness have signed.
func checkpoint(text string, vkeys []string) (size int64, root tlog.Hash, err error) {
	var verifiers []note.Verifier
	witnesses := map[string]bool{}
	for _, vkey := range vkeys {
		v, err := verifier(vkey)
		if err != nil {
			return 0, root, err
		}
		verifiers = append(verifiers, v)
		if w, is := v.(witness); is {
			witnesses[w.name] = false
		}
	}
	opened, err := note.Open([]byte(text), note.VerifierList(verifiers...))
	if err != nil {
		return 0, root, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] == "" {
		return 0, root, errors.New("a text of fewer than three lines")
	}
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			return 0, root, errors.New("an empty line in the text")
		}
	}
	signed := false
	for _, s := range append(opened.Sigs, opened.UnverifiedSigs...) {
		if _, err = canonical(s.Base64); err != nil {
			return 0, root, err
		}
	}
	for _, s := range opened.Sigs {
		if _, is := witnesses[s.Name]; is {
			witnesses[s.Name] = true
		} else if s.Name == lines[0] {
			signed = true
		}
	}
	if !signed {
		return 0, root, errors.New("no key of the origin has signed")
	}
	for name, cosigned := range witnesses {
		if !cosigned {
			return 0, root, errors.New("not cosigned by " + name)
		}
	}
	if size, err = decimal(lines[1]); err == nil {
		root, err = hash(lines[2])
	}
	return size, root, err
}

// The lines up to the empty one, and what follows it.
func split(text string) (lines []string, rest string, err error) {
	at := strings.Index(text, "\n\n")
	if at < 0 {
		return nil, "", errors.New("no empty line")
	}
	return strings.Split(text[:at], "\n"), text[at+2:], nil
}

func hashes(lines []string) (path []tlog.Hash, err error) {
	for _, line := range lines {
		h, err := hash(line)
		if err != nil {
			return nil, err
		}
		path = append(path, h)
	}
	return path, nil
}

func checkProof(text, leaf string, vkeys []string) error {
	lines, rest, err := split(text)
	if err != nil {
		return err
	}
	if lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("another first line")
	}
	lines = lines[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		if _, err := canonical(lines[0][len("extra "):]); err != nil {
			return err
		}
		lines = lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return errors.New("no index line")
	}
	index, err := decimal(lines[0][len("index "):])
	if err != nil {
		return err
	}
	path, err := hashes(lines[1:])
	if err != nil {
		return err
	}
	size, root, err := checkpoint(rest, vkeys)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(path, size, root, index, tlog.RecordHash([]byte(leaf)))
}

func checkConsistency(text, oldRoot string, vkeys []string) error {
	lines, rest, err := split(text)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(lines[0], "old ") {
		return errors.New("no old line")
	}
	oldSize, err := decimal(lines[0][len("old "):])
	if err != nil {
		return err
	}
	path, err := hashes(lines[1:])
	if err != nil {
		return err
	}
	size, root, err := checkpoint(rest, vkeys)
	if err != nil {
		return err
	}
	if oldSize == 0 && len(path) == 0 {
		return nil
	}
	old, err := hash(oldRoot)
	if err != nil {
		return err
	}
	return tlog.CheckTree(path, size, root, oldSize, old)
}

// What signs a segment. Base64 with unused bits set, which the note package lets pass, is refused.
func checkNote(text string, vkeys []string) error {
	var verifiers []note.Verifier
	for _, vkey := range vkeys {
		v, err := note.NewVerifier(vkey)
		if err != nil {
			return err
		}
		verifiers = append(verifiers, v)
	}
	opened, err := note.Open([]byte(text), note.VerifierList(verifiers...))
	if err != nil {
		return err
	}
	for _, signature := range append(opened.Sigs, opened.UnverifiedSigs...) {
		if _, err := canonical(signature.Base64); err != nil {
			return err
		}
	}
	return nil
}

func judge(line []byte) error {
	var question struct {
		Proof, Leaf, Consistency, Note []byte
		OldRoot                        string `json:"old_root"`
		Vkeys                          []string
	}
	if err := json.Unmarshal(line, &question); err != nil {
		return err
	}
	if question.Consistency != nil {
		return checkConsistency(string(question.Consistency), question.OldRoot, question.Vkeys)
	}
	if question.Note != nil {
		return checkNote(string(question.Note), question.Vkeys)
	}
	return checkProof(string(question.Proof), string(question.Leaf), question.Vkeys)
}

func main() {
	input := bufio.NewReader(os.Stdin)
	output := bufio.NewWriter(os.Stdout)
	defer output.Flush()
	for {
		line, err := input.ReadBytes('\n')
		if err != nil {
			return
		}
		if err := judge(line); err != nil {
			fmt.Fprintln(output, strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Fprintln(output, "ok")
		}
	}
}
