#include "gateway/json_syntax.h"

#include <cstdint>
#include <vector>

#include "base/check.h"
#include "base/utf8.h"
#include "base/wipe.h"

namespace quorate::gateway {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void SkipSpace(std::string_view* text) {
  while (!text->empty() && IsSpace(text->front())) text->remove_prefix(1);
}

void AppendUtf8(std::string& out, uint32_t rune) {
  if (rune < 0x80) {
    out += static_cast<char>(rune);
  } else if (rune < 0x800) {
    out += static_cast<char>(0xc0 | (rune >> 6));
    out += static_cast<char>(0x80 | (rune & 0x3f));
  } else if (rune < 0x10000) {
    out += static_cast<char>(0xe0 | (rune >> 12));
    out += static_cast<char>(0x80 | ((rune >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (rune & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (rune >> 18));
    out += static_cast<char>(0x80 | ((rune >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((rune >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (rune & 0x3f));
  }
}

// A byte as Go prints it in these errors: between single quotes, as the code point of that number.
std::string QuotedByte(char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto byte = static_cast<uint8_t>(c);
  if (c == '\'') return R"('\'')";
  if (c == '"') return R"('"')";
  if (c == '\\') return R"('\\')";
  std::string out = "'";
  switch (c) {
    case '\a':
      out += "\\a";
      break;
    case '\b':
      out += "\\b";
      break;
    case '\f':
      out += "\\f";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    case '\v':
      out += "\\v";
      break;
    default:
      if (byte < 0x20 || byte == 0x7f) {
        out += "\\x";
        out += kHex[byte >> 4];
        out += kHex[byte & 15];
      } else if (byte >= 0x80 && (byte < 0xa1 || byte == 0xad)) {
        out += "\\u00";
        out += kHex[byte >> 4];
        out += kHex[byte & 15];
      } else {
        AppendUtf8(out, byte);
      }
  }
  return out + "'";
}

// One value's syntax. Holds what of the text has not been looked at.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  Status Value() {
    do {
      QUORATE_RETURN_IF_ERROR(BeginValue());
      if (!after_value_) continue;
      QUORATE_RETURN_IF_ERROR(CloseOrGoOn());
    } while (!open_.empty() || !after_value_);
    return absl::OkStatus();
  }
  std::string_view rest() const { return rest_; }

 private:
  Status Invalid(std::string_view context) const {
    if (rest_.empty()) return InvalidArgument("unexpected EOF");
    return InvalidArgument("invalid character " + QuotedByte(rest_.front()) + " " + std::string(context));
  }

  // A scalar, whole; or the beginning of an object or array up to where its first value must begin.
  Status BeginValue() {
    SkipSpace(&rest_);
    after_value_ = true;
    const char c = rest_.empty() ? '\0' : rest_.front();
    switch (c) {
      case '{':
      case '[':
        return Open(c);
      case '"':
        return String();
      case 't':
        return Literal("true");
      case 'f':
        return Literal("false");
      case 'n':
        return Literal("null");
      default:
        if (c == '-' || IsDigit(c)) return Number();
        return Invalid("looking for beginning of value");
    }
  }

  Status Open(char c) {
    if (open_.size() >= kJsonDepthMax) return Invalid("exceeded max depth");
    rest_.remove_prefix(1);
    SkipSpace(&rest_);
    const char close = c == '{' ? '}' : ']';
    if (!rest_.empty() && rest_.front() == close) {
      rest_.remove_prefix(1);
      return absl::OkStatus();
    }
    open_.push_back(close);
    after_value_ = false;
    return c == '{' ? Key() : absl::OkStatus();
  }

  // After a value: what closes here, up to the next value.
  Status CloseOrGoOn() {
    while (!open_.empty()) {
      SkipSpace(&rest_);
      const char close = open_.back();
      const char c = rest_.empty() ? '\0' : rest_.front();
      if (c == close) {
        rest_.remove_prefix(1);
        open_.pop_back();
        continue;
      }
      if (rest_.empty() || c != ',') {
        return Invalid(close == '}' ? "after object key:value pair" : "after array element");
      }
      rest_.remove_prefix(1);
      after_value_ = false;
      return close == '}' ? Key() : absl::OkStatus();
    }
    return absl::OkStatus();
  }

  Status Key() {
    SkipSpace(&rest_);
    if (rest_.empty() || rest_.front() != '"') return Invalid("looking for beginning of object key string");
    QUORATE_RETURN_IF_ERROR(String());
    SkipSpace(&rest_);
    if (rest_.empty() || rest_.front() != ':') return Invalid("after object key");
    rest_.remove_prefix(1);
    return absl::OkStatus();
  }

  Status String() {
    rest_.remove_prefix(1);
    while (!rest_.empty() && rest_.front() != '"') {
      if (static_cast<uint8_t>(rest_.front()) < 0x20) return Invalid("in string literal");
      if (rest_.front() == '\\') {
        QUORATE_RETURN_IF_ERROR(Escape());
      } else {
        rest_.remove_prefix(1);
      }
    }
    if (rest_.empty()) return Invalid({});
    rest_.remove_prefix(1);
    return absl::OkStatus();
  }

  Status Escape() {
    rest_.remove_prefix(1);
    if (rest_.empty() || std::string_view("bfnrt\\/\"u").find(rest_.front()) == std::string_view::npos) {
      return Invalid("in string escape code");
    }
    const bool hex = rest_.front() == 'u';
    rest_.remove_prefix(1);
    for (int i = 0; hex && i < 4; ++i) {
      if (rest_.empty() || HexDigit(rest_.front()) < 0) return Invalid("in \\u hexadecimal character escape");
      rest_.remove_prefix(1);
    }
    return absl::OkStatus();
  }

  Status Literal(std::string_view word) {
    for (size_t i = 0; i < word.size(); ++i) {
      if (rest_.empty() || rest_.front() != word[i]) {
        return Invalid("in literal " + std::string(word) + " (expecting '" + word[i] + "')");
      }
      rest_.remove_prefix(1);
    }
    return absl::OkStatus();
  }

  Status Digits(std::string_view context) {
    if (rest_.empty() || !IsDigit(rest_.front())) return Invalid(context);
    while (!rest_.empty() && IsDigit(rest_.front())) rest_.remove_prefix(1);
    return absl::OkStatus();
  }

  Status Number() {
    if (rest_.front() == '-') rest_.remove_prefix(1);
    if (!rest_.empty() && rest_.front() == '0') {
      rest_.remove_prefix(1);
    } else {
      QUORATE_RETURN_IF_ERROR(Digits("in numeric literal"));
    }
    if (!rest_.empty() && rest_.front() == '.') {
      rest_.remove_prefix(1);
      QUORATE_RETURN_IF_ERROR(Digits("after decimal point in numeric literal"));
    }
    if (!rest_.empty() && (rest_.front() == 'e' || rest_.front() == 'E')) {
      rest_.remove_prefix(1);
      if (!rest_.empty() && (rest_.front() == '+' || rest_.front() == '-')) rest_.remove_prefix(1);
      QUORATE_RETURN_IF_ERROR(Digits("in exponent of numeric literal"));
    }
    return absl::OkStatus();
  }

  std::string_view rest_;
  std::vector<char> open_;    // What closes the objects and arrays that are open.
  bool after_value_ = false;  // A value has just ended; else one must follow.
};

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

uint32_t TakeHex4(std::string_view* text) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value * 16 + static_cast<uint32_t>(HexDigit((*text)[i]));
  text->remove_prefix(4);
  return value;
}

// `text` is what follows "\u".
void AppendUnicodeEscape(std::string& out, std::string_view* text) {
  const uint32_t rune = TakeHex4(text);
  if (rune < 0xd800 || rune > 0xdfff) return AppendUtf8(out, rune);
  if (rune < 0xdc00 && text->starts_with("\\u")) {
    std::string_view after = text->substr(2);
    const uint32_t low = TakeHex4(&after);
    if (low >= 0xdc00 && low <= 0xdfff) {
      *text = after;
      return AppendUtf8(out, 0x10000 + ((rune - 0xd800) << 10) + (low - 0xdc00));
    }
  }
  out += kReplacement;
}

// `text` is what follows the backslash.
void AppendEscape(std::string& out, std::string_view* text) {
  const char c = text->front();
  text->remove_prefix(1);
  switch (c) {
    case 'b':
      out += '\b';
      return;
    case 'f':
      out += '\f';
      return;
    case 'n':
      out += '\n';
      return;
    case 'r':
      out += '\r';
      return;
    case 't':
      out += '\t';
      return;
    case 'u':
      return AppendUnicodeEscape(out, text);
    default:
      out += c;
  }
}

}  // namespace

bool JsonValues::AtEnd() {
  SkipSpace(&rest_);
  return rest_.empty();
}

StatusOr<std::string_view> JsonValues::Next() {
  SkipSpace(&rest_);
  Scanner scanner(rest_);
  if (Status bad = scanner.Value(); !bad.ok()) {
    rest_ = {};
    return bad;
  }
  const std::string_view value = rest_.substr(0, rest_.size() - scanner.rest().size());
  rest_ = scanner.rest();
  return value;
}

bool MayBecomeValue(std::string_view text) {
  Scanner scanner(text);
  return scanner.Value().ok() || scanner.rest().empty();
}

char JsonCursor::Peek() {
  SkipSpace(&rest_);
  return rest_.empty() ? '\0' : rest_.front();
}

bool JsonCursor::Take(char c) {
  if (Peek() != c) return false;
  rest_.remove_prefix(1);
  return true;
}

std::string_view JsonCursor::TakeRawString() {
  QUORATE_CHECK(Peek() == '"');
  size_t end = 1;
  while (rest_[end] != '"') end += rest_[end] == '\\' ? 2 : 1;
  const std::string_view raw = rest_.substr(1, end - 1);
  rest_.remove_prefix(end + 1);
  return raw;
}

std::string JsonCursor::TakeString() {
  std::string_view raw = TakeRawString();
  std::string out;
  ReserveWiping(&out, raw.size());
  while (!raw.empty()) {
    if (raw.front() == '\\') {
      raw.remove_prefix(1);
      AppendEscape(out, &raw);
      continue;
    }
    const size_t length = Utf8Length(raw);
    // Three bytes for one: more than there is room for.
    if (length == 0) ReserveWiping(&out, out.size() + kReplacement.size() + raw.size());
    out += length == 0 ? kReplacement : raw.substr(0, length);
    raw.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

std::string_view JsonCursor::TakeScalar() {
  SkipSpace(&rest_);
  size_t end = 0;
  while (end < rest_.size() && !IsSpace(rest_[end]) &&
         std::string_view(",:]}").find(rest_[end]) == std::string_view::npos) {
    ++end;
  }
  const std::string_view scalar = rest_.substr(0, end);
  rest_.remove_prefix(end);
  return scalar;
}

void JsonCursor::Skip() {
  size_t depth = 0;
  do {
    const char c = Peek();
    if (c == '"') {
      TakeRawString();
    } else if (c == '{' || c == '[') {
      ++depth;
      rest_.remove_prefix(1);
    } else if (c == '}' || c == ']') {
      --depth;
      rest_.remove_prefix(1);
    } else if (c == ',' || c == ':') {
      rest_.remove_prefix(1);
    } else {
      TakeScalar();
    }
  } while (depth > 0);
}

}  // namespace quorate::gateway
