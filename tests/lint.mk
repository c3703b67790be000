# SPDX-License-Identifier: ISC
# cppcheck and clang-tidy over relayd/; called by contrib/check with top= and build=.
sources := $(shell find $(top)/relayd -name '*.c' | sort)
flags := -std=c17 -D_POSIX_C_SOURCE=200809L -DHAVE_CONFIG_H -I$(top)/relayd -I$(build) \
	-DPACKAGE_VERSION=\"lint\"
# Findings that stand for real trouble. Style is clang-format's and the reviewer's; paths through
# intrusive lists are beyond the static analyzer, so the sanitizers look after memory.
tidy := -*,bugprone-*,cert-*,performance-*,portability-*,\
-bugprone-easily-swappable-parameters,-bugprone-assignment-in-if-condition,\
-bugprone-reserved-identifier,-cert-dcl37-c,-cert-dcl51-cpp,-cert-err33-c,\
-bugprone-narrowing-conversions,-bugprone-branch-clone,-bugprone-not-null-terminated-result,\
-performance-no-int-to-ptr,-bugprone-suspicious-include,-cert-msc30-c,-cert-msc50-cpp,\
-bugprone-implicit-widening-of-multiplication-result,-bugprone-sizeof-expression

.PHONY: cppcheck clang-tidy
cppcheck:
	cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr --force \
		--enable=warning,portability,performance --suppress=missingIncludeSystem \
		--suppress=unknownMacro --suppress=normalCheckLevelMaxBranches \
		-D_POSIX_C_SOURCE=200809L -I$(top)/relayd -j 2 $(top)/relayd

clang-tidy: $(addsuffix .tidy,$(sources))

$(addsuffix .tidy,$(sources)): %.c.tidy: %.c
	clang-tidy-14 --quiet --warnings-as-errors='*' --checks='$(tidy)' $< -- $(flags)

.PHONY: $(addsuffix .tidy,$(sources))
