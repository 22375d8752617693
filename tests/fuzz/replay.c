/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A fuzz target without a fuzzer: runs it over files and folders (default: its
 * own corpus), with any compiler. Each file is a test; one at which the target
 * ends the process is named before.
 *   fuzz_TARGET [FILE|FOLDER...]
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#define CORPUS "tests/fuzz/corpus/"
#define LARGEST (1U << 20)

static const char *current;
static unsigned passed;

/* The target has ended: says where, and lets the signal do its work. stdio is
 * no worse off than the process. */
static void on_death(int number)
{
	printf("FAIL %s\n%u passed, 1 failed, 0 skipped\n",
	       current ? current : "between files", passed);
	fflush(stdout);
	signal(number, SIG_DFL);
	raise(number);
}

static void watch_death(void)
{
	static const int deaths[] = { SIGABRT, SIGSEGV, SIGBUS,
				      SIGILL,  SIGTRAP, SIGFPE };

	for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++)
		signal(deaths[i], on_death);
}

static int replay_file(const char *path)
{
	uint8_t *data = malloc(LARGEST);
	FILE *file = fopen(path, "rb");
	size_t size = 0;

	if (file && data) {
		size = fread(data, 1, LARGEST, file);
		fclose(file);
		/* In a block of its size: nothing behind it is ours. */
		data = realloc(data, size ? size : 1);
	}
	if (!file || !data) {
		fprintf(stderr, "%s: cannot be read\n", path);
		free(data);
		return 1;
	}
	current = path;
	LLVMFuzzerTestOneInput(data, size);
	current = NULL;
	free(data);
	passed++;
	return 0;
}

static int not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int replay(const char *path);

static int replay_folder(const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, not_hidden, alphasort);
	int bad = 0;
	char inner[4096];

	for (int i = 0; i < count; i++) {
		snprintf(inner, sizeof(inner), "%s/%s", path,
			 entries[i]->d_name);
		bad += replay(inner);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return count < 0 ? 1 : bad;
}

static int replay(const char *path)
{
	struct stat st;

	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return replay_folder(path);
	return replay_file(path);
}

/* fuzz_NAME -> tests/fuzz/corpus/NAME */
static int replay_own(const char *program)
{
	const char *name = strrchr(program, '/');
	char path[256];

	name = name ? name + 1 : program;
	if (!strncmp(name, "fuzz_", 5))
		name += 5;
	snprintf(path, sizeof(path), CORPUS "%s", name);
	return replay(path);
}

int main(int argc, char **argv)
{
	int bad = 0;

	watch_death();
	for (int i = 1; i < argc; i++)
		bad += replay(argv[i]);
	if (argc == 1)
		bad = replay_own(argv[0]);
	printf("%llu judged\n", (unsigned long long)fuzz_count());
	printf("%u passed, %d failed, 0 skipped\n", passed, bad);
	return bad || !passed;
}
