// The lines that interactive commands read, cut into words by the rules of etcd's client. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quorate::cmd {

// Words stand between spaces; "in double quotes" is one word and read as a Go literal, 'in single quotes' as
// it stands. A quote within a word is a part of it.
StatusOr<std::vector<std::string>> SplitWords(std::string_view line);

std::string_view Trim(std::string_view text);

}  // namespace quorate::cmd
