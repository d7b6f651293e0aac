/* SPDX-License-Identifier: MIT
** Succession notes: their text, what is refused of them, and whom they bring trust to. The thief of these
** tests holds a key that was put aside, and may write to the database.
*/
#include "tap.h"

#include "audit/succession.h"
#include "audit/trust.h"
#include "base/base64.h"
#include "base/memory.h"
#include "failing_memory.h"
#include <sodium.h>

#define ORIGIN "example.com/audit"
#define VKEY_A ORIGIN "+29b87bfc+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
#define VKEY_B ORIGIN "+d67c3fea+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
#define ROOT "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="
#define NOTE_TEXT(size)                                                                            \
    "rustybt-vkey-v1\norigin " ORIGIN "\nsize " size "\nroot " ROOT "\nnext " VKEY_B               \
    "\nprevious " VKEY_A "\n"

/* The keys: A and B, C follow each other; T is the thief's, X nobody's. */
enum { A, B, C, T, X, KEYS };
static uint8_t secrets[KEYS][64];
static rbt_verifier keys[KEYS];

static void make_keys(const char *origin) {
    for (int i = 0; i < KEYS; i++) {
        uint8_t public_key[32], seed[32];
        for (int byte = 0; byte < 32; byte++)
            seed[byte] = (uint8_t)(i == A ? byte : i);
        crypto_sign_seed_keypair(public_key, secrets[i], seed);
        rbt_verifier_make(&keys[i], origin, public_key);
    }
}

static rbt_succession succession(int previous, int next, uint64_t size) {
    rbt_succession note = {.size = size, .next = keys[next], .previous = keys[previous]};
    rbt_buffer root = {0};
    rbt_base64_decode(&root, ROOT, strlen(ROOT), false, false);
    memcpy(note.root.bytes, root.data, 32);
    rbt_buffer_free(&root);
    return note;
}

/* A note signed by two keys; those of the note when all is well. */
static rbt_buffer signed_by(int previous, int next, uint64_t size, int first, int second) {
    rbt_error error = {0};
    rbt_buffer out = {0};
    const rbt_succession note = succession(previous, next, size);
    rbt_succession_sign(&out, &note, secrets[first], secrets[second], &error);
    rbt_error_clear(&error);
    return out;
}

/* ----------------------------------------------------------------------------------------- notes */

static const char *reading(const char *note, size_t length, const char *origin) {
    rbt_succession read;
    const char *why = rbt_succession_read(&read, note, length, origin);
    return why ? why : "(valid)";
}

/* Text signed by two keys, whatever it says. */
static const char *reading_of_text(const char *text, const char *origin) {
    static const char *result;
    rbt_error error = {0};
    rbt_buffer note = {0}, second = {0};
    size_t length = strlen(text);
    rbt_note_sign(&note, text, length, &keys[A], secrets[A], &error);
    rbt_note_sign(&second, text, length, &keys[B], secrets[B], &error);
    rbt_buffer_add(&note, second.data + length + 1, second.length - length - 1);
    result = reading((const char *)note.data, note.length, origin);
    rbt_buffer_free(&note);
    rbt_buffer_free(&second);
    rbt_error_clear(&error);
    return result;
}

static void test_text(void) {
    rbt_buffer text = {0}, note = signed_by(A, B, 8, A, B);
    rbt_succession read;
    const rbt_succession wanted = succession(A, B, 8);

    rbt_succession_format(&text, &wanted);
    is_text(rbt_buffer_text(&text), NOTE_TEXT("8"), "the text is the design's");
    ok(!rbt_succession_read(&read, (const char *)note.data, note.length, ORIGIN),
       "a note signed by both is read");
    ok(read.size == 8 && rbt_hash_equal(&read.root, &wanted.root) &&
           memcmp(read.next.public_key, keys[B].public_key, 32) == 0 &&
           memcmp(read.previous.public_key, keys[A].public_key, 32) == 0 &&
           strcmp(read.next.name, ORIGIN) == 0 && read.next.max_size == UINT64_MAX,
       "and says what was written");
    is_int(rbt_note_verify((const char *)note.data, note.length, &keys[A], 1), 0,
           "any reader of signed notes verifies it by the old key");
    is_int(rbt_note_verify((const char *)note.data, note.length, &keys[B], 1), 0,
           "and by the new one");
    is_text(reading_of_text(NOTE_TEXT("8"), ORIGIN), "(valid)", "the size may be 8");
    is_text(reading_of_text(NOTE_TEXT("9223372036854775807"), ORIGIN), "(valid)",
            "or the largest there is");
    is_text(reading_of_text(NOTE_TEXT("9223372036854775808"), ORIGIN), "its size is none",
            "but not one more");
    is_text(reading_of_text(NOTE_TEXT("99999999999999999999999"), ORIGIN), "its size is none",
            "nor one that overflows");
    is_text(reading_of_text(NOTE_TEXT("0"), ORIGIN), "its size is none",
            "a log has at least its genesis");
    is_text(reading_of_text(NOTE_TEXT(""), ORIGIN), "its size is none", "no size is none");
    is_text(reading_of_text(NOTE_TEXT("+8"), ORIGIN), "its size is none", "nor is one with a sign");
    is_text(reading_of_text(NOTE_TEXT("08"), ORIGIN), "a key or the size in it is malformed",
            "there are no needless zeros");
    is_text(reading_of_text(NOTE_TEXT("8"), "example.com/other"), "it is of another origin",
            "a note of another origin is none of this log");
    rbt_buffer_free(&text);
    rbt_buffer_free(&note);
}

static void test_strictness(void) {
    static const char missing[] = "it has not the lines origin, size, root, next, previous";
    static const char malformed[] = "a key in it is malformed";
    static const char start[] = "rustybt-vkey-v1\norigin " ORIGIN "\nsize 8\nroot " ROOT "\n";
    char text[1024];
    const struct {
        const char *lines, *want, *name;
    } cases[] = {
        {"previous " VKEY_A "\nnext " VKEY_B "\n", missing, "previous before next"},
        {"next " VKEY_B "\n", missing, "without previous"},
        {"next " VKEY_B "\nprevious " VKEY_A "\nmore\n", missing, "with a line behind"},
        {"next  " VKEY_B "\nprevious " VKEY_A "\n", "a key or the size in it is malformed",
         "with two spaces"},
        {"next " VKEY_B "\nprevious " VKEY_B "\n", "a key is to succeed itself",
         "from a key to itself"},
        {"next \nprevious " VKEY_A "\n", malformed, "with an empty key"},
        {"next x" VKEY_B "\nprevious " VKEY_A "\n", "a key or the size in it is malformed",
         "with a key of another name"},
        {"next " ORIGIN "+d67c3feb+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c\nprevious " VKEY_A
         "\n",
         "a key or the size in it is malformed", "with a wrong key id"},
        {"next " ORIGIN "+d67c3fea+AoqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c\nprevious " VKEY_A
         "\n",
         malformed, "with a key of another algorithm"},
        {"next " ORIGIN
         "+d67c3fea+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29cAA==\nprevious " VKEY_A "\n",
         malformed, "with a longer key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "%s%s", start, cases[i].lines);
        is_text(reading_of_text(text, ORIGIN), cases[i].want, cases[i].name);
    }
    is_text(reading_of_text(ORIGIN "\n8\n" ROOT "\n", ORIGIN),
            "it does not begin with rustybt-vkey-v1", "a checkpoint is no succession");
    is_text(reading_of_text("rustybt-vkey-v1", ORIGIN),
            "it has no empty line between text and signatures",
            "and what could not be signed is no note");
    is_text(reading_of_text("rustybt-vkey-v1\norigin " ORIGIN "\nsize 8\nroot AAAA\nnext " VKEY_B
                            "\nprevious " VKEY_A "\n",
                            ORIGIN),
            "its root is not base64 of 32 bytes", "a short root");
}

/* The lines of a note, from text_length + 1 on. */
static void test_signatures(void) {
    static const char wrong_first[] = "its first signature is not the previous key's";
    static const char wrong_second[] = "its second signature is not the next key's";
    static const char not_two[] = "it has not two signature lines";
    rbt_buffer note = signed_by(A, B, 8, A, B), changed = {0};
    size_t text = strlen(NOTE_TEXT("8")) + 1, line = (note.length - text) / 2;
    const char *start = (const char *)note.data;

    struct {
        int first, second;
        const char *want, *name;
    } cases[] = {
        {T, B, wrong_first, "who has not the old key cannot put his own key after it"},
        {A, T, wrong_second, "who has not the new key cannot make it follow his own"},
        {B, A, wrong_first, "signatures by each other's keys are none"},
        {T, T, wrong_first, "nor are a stranger's"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rbt_buffer forged = signed_by(A, B, 8, cases[i].first, cases[i].second);
        is_text(reading((const char *)forged.data, forged.length, ORIGIN), cases[i].want,
                cases[i].name);
        rbt_buffer_free(&forged);
    }
    is_text(reading(start, note.length - line, ORIGIN), not_two, "the old key alone is not enough");
    rbt_buffer_add(&changed, start, text);
    rbt_buffer_add(&changed, start + text + line, line);
    is_text(reading((char *)changed.data, changed.length, ORIGIN), not_two,
            "nor is the new key alone");
    rbt_buffer_add(&changed, start + text, line);
    is_text(reading((char *)changed.data, changed.length, ORIGIN), wrong_first,
            "the old key's signature comes first");
    rbt_buffer_clear(&changed);
    rbt_buffer_add(&changed, start, note.length);
    rbt_buffer_add(&changed, start + text, line);
    is_text(reading((char *)changed.data, changed.length, ORIGIN), not_two,
            "a third line is refused");

    /* another size under the same signatures */
    rbt_buffer_clear(&changed);
    rbt_buffer_add(&changed, start, note.length);
    memcpy(strstr((char *)changed.data, "size 8") + 5, "9", 1);
    is_text(reading((char *)changed.data, changed.length, ORIGIN), wrong_first,
            "the size cannot be changed");

    int valid = 0;
    static const uint8_t flips[] = {1, 2, 0x20, 0x80};
    for (size_t i = 0; i < note.length; i++)
        for (size_t flip = 0; flip < sizeof flips; flip++) {
            rbt_buffer_clear(&changed);
            rbt_buffer_add(&changed, start, note.length);
            changed.data[i] ^= flips[flip];
            valid += strcmp(reading((char *)changed.data, note.length, ORIGIN), "(valid)") == 0;
        }
    is_int(valid, 0, "a note with any byte changed is not valid");
    for (size_t length = 0; length < note.length; length++)
        valid += strcmp(reading(start, length, ORIGIN), "(valid)") == 0;
    is_int(valid, 0, "nor is one that was cut anywhere");
    for (size_t i = 0; i <= note.length; i++) {
        rbt_buffer_clear(&changed);
        rbt_buffer_add(&changed, start, i);
        rbt_buffer_add_byte(&changed, '\n');
        rbt_buffer_add(&changed, start + i, note.length - i);
        valid += strcmp(reading((char *)changed.data, changed.length, ORIGIN), "(valid)") == 0;
    }
    is_int(valid, 0, "nor is one with a line break anywhere");
    rbt_buffer_free(&changed);
    rbt_buffer_free(&note);

    /* the longest origin fits what a note may have */
    char origin[256];
    memset(origin, 'o', 255);
    origin[255] = 0;
    make_keys(origin);
    note = signed_by(A, B, INT64_MAX, A, B);
    ok(note.length < RBT_SUCCESSION_MAX &&
           strcmp(reading((char *)note.data, note.length, origin), "(valid)") == 0,
       "an origin of 255 bytes makes a note that fits");
    rbt_buffer_free(&note);
    make_keys(ORIGIN);
}

/* ------------------------------------------------------------------------------------------ list */

static void add(rbt_successions *list, int previous, int next, uint64_t size, int first,
                int second) {
    rbt_error error = {0};
    rbt_buffer note = signed_by(previous, next, size, first, second);
    rbt_successions_add(list, (const char *)note.data, note.length, &error);
    rbt_buffer_free(&note);
    rbt_error_clear(&error);
}

static rbt_successions empty_list(void) {
    rbt_successions list = {0};
    rbt_error error = {0};
    rbt_successions_read(&list, NULL, 0, ORIGIN, &error);
    return list;
}

static const char *flaw_of(rbt_successions *list, size_t *at) {
    rbt_error error = {0};
    const char *flaw = rbt_successions_flaw(list, at, &error);
    return flaw ? flaw : "(none)";
}

static void read_flaw(const char *json, const char *want, const char *name) {
    rbt_error error = {0};
    rbt_successions list = {0};
    size_t at;
    rbt_successions_read(&list, json, strlen(json), ORIGIN, &error);
    is_text(flaw_of(&list, &at), want, name);
    rbt_successions_free(&list);
    rbt_error_clear(&error);
}

static void test_list(void) {
    rbt_error error = {0};
    rbt_successions list = empty_list(), again = {0};
    rbt_buffer json = {0}, long_text = {0};
    size_t at = 0;

    is_text(flaw_of(&list, &at), "(none)", "no notes are a history");
    add(&list, A, B, 8, A, B);
    add(&list, B, C, 8, B, C);
    is_text(flaw_of(&list, &at), "(none)", "two keys may hand over at one size");
    rbt_successions_write(&json, &list);
    rbt_successions_read(&again, rbt_buffer_text(&json), json.length, ORIGIN, &error);
    ok(again.count == 2 && strcmp(flaw_of(&again, &at), "(none)") == 0 &&
           again.notes[1].succession.size == 8,
       "what is written is read again");
    is_int(rbt_successions_limit(&again, keys[A].public_key, &error), 8,
           "the key that handed over counts up to that size");
    ok(rbt_successions_limit(&again, keys[C].public_key, &error) == UINT64_MAX &&
           rbt_successions_limit(&again, keys[X].public_key, &error) == UINT64_MAX,
       "the last one and a stranger have no limit");
    rbt_successions_free(&again);

    rbt_successions_read(&again, (char *)json.data, json.length, "example.com/other", &error);
    ok(again.count == 2 && !rbt_successions_valid(&again, 0, &error) &&
           rbt_successions_limit(&again, keys[A].public_key, &error) == UINT64_MAX,
       "for another origin they say nothing");
    rbt_successions_free(&again);

    add(&list, C, X, 7, C, X);
    is_text(flaw_of(&list, &at), "it is of a smaller size than the note before it",
            "a log does not shrink between two notes");
    is_int(at, 2, "which the third note says");
    rbt_successions_free(&list);
    list = empty_list();
    add(&list, B, C, 8, B, C);
    add(&list, A, B, 8, A, B);
    is_text(flaw_of(&list, &at), "its previous key is not the next key of the note before it",
            "notes out of order are no history");
    rbt_successions_free(&list);
    list = empty_list();
    add(&list, A, B, 8, A, B);
    add(&list, B, A, 9, B, A);
    is_text(flaw_of(&list, &at), "its next key was superseded before", "no key comes back");
    rbt_successions_free(&list);
    list = empty_list();
    add(&list, A, B, 8, T, B);
    is_text(flaw_of(&list, &at), "its first signature is not the previous key's",
            "a forged note is no history");
    is_int(rbt_successions_limit(&list, keys[A].public_key, &error) == UINT64_MAX, 1,
           "and takes nothing from the key that it names");

    read_flaw("", "(none)", "nothing stored is no note");
    read_flaw("{}", "it is no JSON array", "an object");
    read_flaw("[", "it is no JSON", "no JSON");
    read_flaw("[\"\"]", "it has no empty line between text and signatures", "an empty note");
    read_flaw("[1]", "it has no empty line between text and signatures", "a number");
    read_flaw("[[\"a\"]]", "it has no empty line between text and signatures", "a nested array");
    rbt_buffer_add_byte(&long_text, '[');
    for (int i = 0; i < RBT_SUCCESSIONS_MAX; i++)
        rbt_buffer_add_text(&long_text, "1,");
    rbt_buffer_add_text(&long_text, "1]");
    read_flaw(rbt_buffer_text(&long_text), "it holds more notes than a log can have",
              "more notes than a log can have");
    rbt_buffer_clear(&long_text);
    for (int i = 0; i <= RBT_SUCCESSIONS_BYTES; i++)
        rbt_buffer_add_byte(&long_text, ' ');
    read_flaw(rbt_buffer_text(&long_text), "it is too long", "more bytes than notes can have");
    rbt_buffer_clear(&long_text);
    rbt_buffer_add_text(&long_text, "[\"");
    for (int i = 0; i <= RBT_SUCCESSION_MAX; i++)
        rbt_buffer_add_byte(&long_text, 'x');
    rbt_buffer_add_text(&long_text, "\"]");
    read_flaw(rbt_buffer_text(&long_text), "it is too long", "a note that is too long");
    rbt_buffer_free(&long_text);
    rbt_buffer_free(&json);
    rbt_successions_free(&list);
    ok(error.code == SQLITE_OK, "none of this was an error");
}

/* ----------------------------------------------------------------------------------------- trust */

/* Notes as "AB8" (from A to B at size 8), trusted keys as "A" or "BA" (leading of them lead), and what
** is trusted then, by name with its limit: "A8 B". Forged notes begin with '!'. */
static void trust(const char *trusted, size_t leading, const char *notes, const char *want,
                  const char *name) {
    static const char names[] = "ABCTX";
    rbt_error error = {0};
    rbt_successions list = empty_list();
    size_t count = strlen(trusted);
    rbt_verifier *verifiers = rbt_calloc((count + 1) * sizeof *verifiers);
    char got[256] = "";

    for (size_t i = 0; i < count; i++)
        verifiers[i] = keys[strchr(names, trusted[i]) - names];
    for (const char *at = notes; *at; at += *at == ' ') {
        bool forged = *at == '!';
        at += forged;
        int previous = (int)(strchr(names, at[0]) - names),
            next = (int)(strchr(names, at[1]) - names);
        add(&list, previous, next, strtoull(at + 2, (char **)&at, 10), forged ? T : previous, next);
    }
    rbt_trust_extend(&verifiers, &count, leading, &list, &error);
    for (int key = 0; key < KEYS; key++)
        for (size_t i = 0; i < count; i++) {
            if (memcmp(verifiers[i].public_key, keys[key].public_key, 32) != 0) continue;
            size_t length = strlen(got);
            snprintf(got + length, sizeof got - length, "%s%c", length ? " " : "", names[key]);
            length = strlen(got);
            if (verifiers[i].max_size != UINT64_MAX)
                snprintf(got + length, sizeof got - length, "%llu",
                         (unsigned long long)verifiers[i].max_size);
        }
    is_text(error.code == SQLITE_OK ? got : error.message, want, name);
    rbt_free(verifiers);
    rbt_successions_free(&list);
    rbt_error_clear(&error);
}

static void test_trust(void) {
    trust("A", 1, "", "A", "without notes nothing is added");
    trust("", 0, "AB8", "", "who trusts nobody comes to trust nobody");
    trust("A", 1, "AB8", "A8 B", "who trusts the old key trusts the new one, the old up to n");
    trust("B", 1, "AB8", "A8 B", "who trusts the new key trusts the old one up to n");
    trust("AB", 2, "AB8", "A8 B", "who trusts both trusts the old one up to n");
    trust("AA", 2, "AB8", "A8 A8 B", "a key that is listed twice is limited twice");
    trust("X", 1, "AB8", "X", "who trusts another trusts neither");
    trust("A", 1, "AB8 BC9", "A8 B9 C", "three generations, from the first");
    trust("B", 1, "AB8 BC9", "A8 B9 C", "from the second");
    trust("C", 1, "AB8 BC9", "A8 B9 C", "from the third");
    trust("C", 1, "BC9 AB8", "A8 B9 C", "in any order");
    trust("A", 1, "BC9 AB8", "A8 B9 C", "in any order, from the first");
    trust("A", 1, "!AB8", "A", "a note that the old key did not sign gives nothing");
    trust("B", 1, "!AB8", "B", "nor does it make a predecessor");
    trust("BA", 1, "AB8", "A8 B", "keys that are held, newest first");
    trust("BA", 1, "", "A B", "before they hand over they have no limit");
    trust("A", 1, "AB8 AB8", "A8 B", "a note that is there twice");
    trust("A", 1, "AB8 AB6", "A6 B", "the smaller size counts");

    /* the thief has A, which was put aside at 8 */
    trust("B", 1, "AB8 AT8", "A8 B", "an old key cannot name another successor");
    trust("B", 1, "AB8 AT99", "A8 B", "at no size");
    trust("B", 1, "AT99", "B", "where its own succession was removed neither");
    trust("BA", 1, "AT99", "A99 B", "nor where it is still held");
    trust("BA", 1, "AB8 AT99", "A8 B", "whatever else is there");
    trust("B", 1, "AB8 TA99", "A8 B T8", "a key put in before it counts for what it counts");
    trust("B", 1, "TA99 AB8", "A8 B T8", "in any order");
    trust("B", 1, "AB8 TA99 XT99", "A8 B T8 X8", "however far back");
    trust("A", 1, "AB8 AT9", "A8", "who trusts an old key with two successors trusts none of them");
    trust("A", 1, "AB8 !AT9", "A8 B", "but a second one that it did not sign changes nothing");
    trust("C", 1, "AB8 BC9 AT9", "A8 B9 C", "an old key of two generations ago is no better");
    trust("C", 1, "AB8 BC9 BT9", "A8 B9 C", "nor is that of one");
    trust("A", 1, "AB8 BA9", "A8 B9", "a circle limits all in it");
}

/* A verifier of the same key under another name is somebody else. */
static void test_names(void) {
    rbt_error error = {0};
    rbt_successions list = empty_list();
    size_t count = 1;
    rbt_verifier *verifiers = rbt_calloc(sizeof *verifiers);
    add(&list, A, B, 8, A, B);
    rbt_verifier_make(&verifiers[0], "example.com/other", keys[A].public_key);
    rbt_trust_extend(&verifiers, &count, 1, &list, &error);
    ok(count == 1 && verifiers[0].max_size == UINT64_MAX,
       "a key that is trusted for another origin gives and loses nothing");
    rbt_free(verifiers);
    rbt_successions_free(&list);
}

/* ---------------------------------------------------------------------------- memory, and anything */

static void test_memory(void) {
    rbt_successions list = empty_list();
    rbt_buffer json = {0};
    add(&list, A, B, 8, A, B);
    add(&list, B, C, 9, B, C);
    rbt_successions_write(&json, &list);
    rbt_successions_free(&list);
    bool wrong = false, finished = false;
    long allocation = 0;
    while (!finished && !wrong) {
        rbt_error error = {0};
        size_t count = 1, at;
        rbt_verifier *verifiers = rbt_malloc(sizeof *verifiers);
        verifiers[0] = keys[C];
        failing_memory_at(++allocation);
        if (rbt_successions_read(&list, (char *)json.data, json.length, ORIGIN, &error) ==
                SQLITE_OK &&
            rbt_trust_extend(&verifiers, &count, 1, &list, &error) == SQLITE_OK)
            rbt_successions_flaw(&list, &at, &error);
        failing_memory_at(0);
        finished = !failing_memory_hit;
        if (error.code == SQLITE_OK)
            wrong = count != 3 || verifiers[2].max_size != 8 || list.why || list.notes[0].why;
        else
            wrong = error.code != SQLITE_NOMEM;
        finished = finished && error.code == SQLITE_OK;
        rbt_free(verifiers);
        rbt_successions_free(&list);
        rbt_error_clear(&error);
    }
    ok(!wrong, "where memory fails, that is said, and no trust is lost in silence");
    ok(allocation > 20, "it failed at many places");
    rbt_buffer_free(&json);
}

static void test_mutations(void) {
    rbt_successions list = empty_list();
    rbt_buffer json = {0}, changed = {0};
    uint32_t state = 1;
    int believed = 0;
    add(&list, A, B, 8, A, B);
    add(&list, B, C, 9, B, C);
    rbt_successions_write(&json, &list);
    rbt_successions_free(&list);
    for (int round = 0; round < 2000; round++) {
        rbt_error error = {0};
        size_t count = 1;
        rbt_verifier *verifiers = rbt_malloc(sizeof *verifiers);
        verifiers[0] = keys[X];
        rbt_buffer_clear(&changed);
        rbt_buffer_add(&changed, json.data, json.length);
        for (int change = 0; change < 1 + round % 4; change++) {
            state = state * 1664525 + 1013904223;
            changed.data[(state >> 8) % changed.length] = (uint8_t)(state >> 24);
        }
        state = state * 1664525 + 1013904223;
        if (round % 3 == 0) changed.length -= (state >> 8) % changed.length;
        rbt_successions_read(&list, (char *)changed.data, changed.length, ORIGIN, &error);
        rbt_trust_extend(&verifiers, &count, 1, &list, &error);
        believed += count != 1 || error.code != SQLITE_OK;
        rbt_free(verifiers);
        rbt_successions_free(&list);
        rbt_error_clear(&error);
    }
    is_int(believed, 0, "whatever is stored, it is read without harm");
    rbt_buffer_free(&json);
    rbt_buffer_free(&changed);
}

int main(void) {
    plan(97);
    if (failing_memory_install() != SQLITE_OK || sodium_init() < 0) return 1;
    make_keys(ORIGIN);
    test_text();
    test_strictness();
    test_signatures();
    test_list();
    test_trust();
    test_names();
    test_memory();
    test_mutations();
    return done();
}
