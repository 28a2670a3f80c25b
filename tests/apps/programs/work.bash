# SPDX-License-Identifier: MIT
#
# programs/work.bash - a shell at work: arrays, expansions, many short-lived children
set -eu
declare -A seen
list=()
for ((n = 0; n < 6000; n++)); do
	key=$(((n * 7919) % 997))
	seen[$key]="${seen[$key]:-}$n,"
	list+=("item-$n")
done
for key in "${!seen[@]}"; do echo "$key ${#seen[$key]}"; done | sort
echo "${list[*]//item/x}" | cksum
for ((n = 0; n < 150; n++)); do
	echo "$n $(echo "${list[n]}" | (read -r word; echo "${word^^}"))"
done
trap 'echo usr1' USR1
for ((n = 0; n < 50; n++)); do kill -USR1 $$; done
mapfile -t back < <(printf '%s\n' "${list[@]}")
echo "${#back[@]} ${back[5999]}"
