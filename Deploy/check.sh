#!/usr/bin/env bash
# The fast gate before each commit: format, who imports what, build, unit tests.
#
#   Deploy/check.sh              all four
#   Deploy/check.sh --static     only format and imports, without building
#   Deploy/check.sh --programs   only that programs as they are shipped have none of the switches of tests
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

problems=0
problem() {
    printf 'check: %s\n' "$*" >&2
    problems=$((problems + 1))
}

if [[ ${1:-} == --programs ]]; then
    echo "check: programs"
    # What a test can switch, as the sources name it, and how it is switched.
    names=$(grep -rhoE '(Failpoint|Protection)\("[a-z.-]+"\)' --include='*.swift' Services Shared | cut -d'"' -f2 | sort -u)
    [[ $(grep -c . <<<"$names") -gt 10 ]] || problem "the sources name hardly a switch; what does this check look for?"
    names+=$'\nUSERLLM_FAILPOINT\nUSERLLM_WITHOUT_PROTECTION\nuserllm_unprotected'
    Deploy/build
    folder=$(Deploy/build --bin-path)
    for program in $(Deploy/build --programs); do
        [[ -x $folder/$program ]] || problem "$folder/$program is not there"
        found=$(grep -aoF "$names" "$folder/$program" | sort -u | tr '\n' ' ' || true)
        [[ -z $found ]] || problem "$program has switches of tests: $found"
    done
    exit "$((problems > 0))"
fi

echo "check: format"
swift format lint --strict --recursive --parallel Package.swift Services Shared Tests || problem "the formatter has something to say (swift format -i FILE)"

echo "check: imports"
# Every import is declared, every declaration is used, no arrow goes up, no folder is too full.
found=$(swift package dump-package | swift Deploy/check-imports.swift)
[[ -z $found ]] || problem "the manifest and the imports differ:"$'\n'"$found"
# Which targets import a module, as their folders.
importers() {
    grep -rlE "^(@testable |@_spi\([A-Za-z]*\) )?((public|package|internal|fileprivate|private) )?(@preconcurrency )?import (struct |class |enum |func )?$1(\.|\$|[[:space:]])" \
        --include='*.swift' Services Shared Tests | sed -E 's,^(Shared/[^/]+/[^/]+|[^/]+/[^/]+)/.*,\1,' | sort -u
}

# A C library's types stay inside the one Swift target that wraps it.
for module in $(find Shared/CLibraries -name module.modulemap -exec sed -nE 's/^module ([A-Za-z0-9]+).*/\1/p' {} + | sort) CKernels CMessages CModelFiles CLanguageKernels; do
    targets=$(importers "$module" | grep -v '^Tests/' || true)
    if [[ $(grep -c . <<<"$targets") -gt 1 ]]; then
        problem "$module is imported by more than one target: $(tr '\n' ' ' <<<"$targets")"
    fi
done
# Every other executor, queue and lock goes through this one target.
dispatch=$(importers Dispatch | grep -v '^Shared/Foundations/Concurrency$' || true)
[[ -z $dispatch ]] || problem "only Shared/Foundations/Concurrency imports Dispatch, but so does: $(tr '\n' ' ' <<<"$dispatch")"
# A service is a process: what two of them share lives in Shared.
for folder in Services/*/; do
    service=$(basename "$folder")
    users=$(importers "$service" | grep '^Services/' | grep -v "^Services/$service\$" || true)
    [[ -z $users ]] || problem "the service $service is imported by $(tr '\n' ' ' <<<"$users")"
done
# What product code never does.
forbidden='(^|[^A-Za-z])Task[[:space:]]*\{|Task\.detached|nonisolated\(unsafe\)|fatalError\(|try!'
found=$(grep -rnE "$forbidden" --include='*.swift' Services Shared | grep -vE '^[^:]+:[0-9]+:[[:space:]]*//' || true)
[[ -z $found ]] || problem "not allowed in product code (no unstructured tasks, no traps):"$'\n'"$found"
while read -r lines file; do
    [[ $lines -le 400 || $file == total ]] || problem "$file has $lines lines; split it (the limit is 400)"
done < <(find Services Shared -name '*.swift' -not -path 'Shared/Models/UserModels/*' -exec wc -l {} + )

if [[ $problems -gt 0 ]]; then
    echo "check: $problems problem(s)" >&2
    exit 1
fi
[[ ${1:-} != --static ]] || exit 0

echo "check: build and unit tests"
Deploy/test --skip IntegrationTests
