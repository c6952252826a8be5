#include "cmd/quoratectl/line_words.h"

#include "cmd/cli/go_syntax.h"

namespace quorate::cmd {
namespace {

constexpr std::string_view kSpaces = " \t\n\v\f\r";

bool IsSpace(char c) { return kSpaces.find(c) != std::string_view::npos; }

// The end of the double-quoted word at the beginning of `text`; npos when the quotes are not closed.
size_t EndOfDoubleQuoted(std::string_view text) {
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

}  // namespace

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) + 1 - first);
}

StatusOr<std::vector<std::string>> SplitWords(std::string_view line) {
  std::vector<std::string> words;
  while (!line.empty()) {
    if (IsSpace(line.front())) {
      line.remove_prefix(1);
      continue;
    }
    size_t end = std::string_view::npos;
    if (line.front() == '"') {
      end = EndOfDoubleQuoted(line);
      if (end != std::string_view::npos) {
        std::string_view quoted = line.substr(0, end);
        QUORATE_ASSIGN_OR_RETURN(std::string word, TakeGoQuoted(&quoted));
        words.push_back(std::move(word));
      }
    } else if (line.front() == '\'') {
      end = line.find('\'', 1);
      if (end != std::string_view::npos) words.emplace_back(line.substr(1, end++ - 1));
    } else {
      end = 0;
      while (end < line.size() && !IsSpace(line[end])) ++end;
      words.emplace_back(line.substr(0, end));
    }
    // A quote that is never closed is left out, and what stands behind it is read as usual.
    line.remove_prefix(end == std::string_view::npos ? 1 : end);
  }
  return words;
}

}  // namespace quorate::cmd
