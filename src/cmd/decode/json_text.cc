#include "cmd/decode/json_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cmd/decode/outline.h"

namespace quorate::cmd {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kLastApplied[] = "kubectl.kubernetes.io/last-applied-configuration";

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// The end of the string that begins at `at`, behind its quote.
size_t EndOfString(std::string_view text, size_t at) {
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return text.size();
}

int DepthOf(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') i = EndOfString(text, i) - 1;
    if (i < text.size() && (text[i] == '{' || text[i] == '[')) deepest = std::max(deepest, ++depth);
    if (i < text.size() && (text[i] == '}' || text[i] == ']')) --depth;
  }
  return deepest;
}

bool IsDocument(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || (text[first] != '{' && text[first] != '[')) return false;
  return DepthOf(text) <= kJsonDepthMax && Json::accept(text.begin(), text.end());
}

// Of text that is JSON: only white space is changed, so that no number loses a digit.
class Layout {
 public:
  explicit Layout(std::string_view text) : text_(text) {}

  std::string Run() {
    for (size_t i = 0; i < text_.size(); ++i) {
      const char c = text_[i];
      if (IsSpace(c)) continue;
      if (c == '"') {
        const size_t end = EndOfString(text_, i);
        out_.append(text_.substr(i, end - i));
        i = end - 1;
      } else {
        Symbol(c, i);
      }
    }
    return std::move(out_);
  }

 private:
  void Symbol(char c, size_t at) {
    if (c == '{' || c == '[') {
      out_ += c;
      const size_t next = text_.find_first_not_of(" \t\r\n", at + 1);
      const bool empty = next != std::string_view::npos && (text_[next] == '}' || text_[next] == ']');
      ++depth_;
      if (!empty) NewLine();
      empty_ = empty;
    } else if (c == '}' || c == ']') {
      --depth_;
      if (!empty_) NewLine();
      empty_ = false;
      out_ += c;
    } else {
      out_ += c;
      if (c == ',') NewLine();
      if (c == ':') out_ += ' ';
    }
  }
  void NewLine() { out_.append("\n").append(depth_ * 2, ' '); }

  const std::string_view text_;
  std::string out_;
  size_t depth_ = 0;
  bool empty_ = false;  // The innermost object or array that is open has nothing in it.
};

void Hide(Json* object, const char* name) {
  const auto at = object->find(name);
  if (at == object->end() || !at->is_object()) return;
  for (auto& [key, value] : at->items()) {
    const size_t bytes =
        value.is_string() ? value.template get_ref<const std::string&>().size() : value.dump().size();
    value = "(hidden, " + SizeText(bytes) + ")";
  }
}

}  // namespace

std::optional<std::string> PrettyJson(std::string_view text) {
  if (!IsDocument(text)) return std::nullopt;
  return Layout(text).Run();
}

std::optional<std::string> SecretJson(std::string_view text) {
  if (!IsDocument(text)) return std::nullopt;
  Json json = Json::parse(text.begin(), text.end(), nullptr, false);
  if (!json.is_object() || json.value("kind", Json()) != Json("Secret")) return std::nullopt;
  Hide(&json, "data");
  Hide(&json, "stringData");
  const auto metadata = json.find("metadata");
  if (metadata != json.end() && metadata->is_object()) {
    const auto annotations = metadata->find("annotations");
    if (annotations != metadata->end() && annotations->is_object() && annotations->contains(kLastApplied)) {
      (*annotations)[kLastApplied] = "(hidden)";
    }
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::optional<std::string> PrettyJsonWithoutSecrets(std::string_view text) {
  if (auto secret = SecretJson(text)) return secret;
  return PrettyJson(text);
}

}  // namespace quorate::cmd
