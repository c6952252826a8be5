#include "cmd/decode/wire_outline.h"

#include <string>

#include "base/wire.h"

namespace quorate::cmd {
namespace {

constexpr size_t kBinaryBytesShown = 48;

struct Budget {
  size_t fields = kWireFieldsMax;
};

std::string BinaryText(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "(" + SizeText(bytes.size()) + ")";
  for (size_t i = 0; i < bytes.size() && i < kBinaryBytesShown; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (i % 4 == 0) out += ' ';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return bytes.size() > kBinaryBytesShown ? out + " ..." : out;
}

bool AddFields(std::string_view message, int depth, Budget* budget, Outline* out);

// Text goes before messages: most short texts read as one or the other of the two, and text is what is more
// often meant.
Outline BytesAt(std::string name, std::string_view bytes, int depth, Budget* budget) {
  if (bytes.empty() || IsPrintable(bytes)) return Outline(std::move(name), ScalarText(bytes));
  if (depth < kWireDepthMax) {
    Outline nested(name);
    if (AddFields(bytes, depth + 1, budget, &nested)) return nested;
  }
  return Outline(std::move(name), BinaryText(bytes));
}

bool AddFields(std::string_view message, int depth, Budget* budget, Outline* out) {
  wire::Reader reader(message);
  while (reader.Next()) {
    if (budget->fields == 0) {
      out->Add("...", "(more fields)");
      return true;
    }
    --budget->fields;
    std::string name = std::to_string(reader.field());
    switch (reader.type()) {
      case wire::Type::kBytes:
        out->Add(BytesAt(std::move(name), reader.bytes(), depth, budget));
        break;
      case wire::Type::kFixed32:
      case wire::Type::kFixed64:
      case wire::Type::kVarint:
        out->Add(std::move(name), std::to_string(reader.int64()));
        break;
      case wire::Type::kGroupStart:
      case wire::Type::kGroupEnd:
        return false;
    }
  }
  return reader.ok();
}

}  // namespace

bool AddWireFields(std::string_view message, Outline* out) {
  Budget budget;
  return AddFields(message, 0, &budget, out);
}

Outline BytesOutline(std::string name, std::string_view bytes) {
  Budget budget;
  return BytesAt(std::move(name), bytes, 0, &budget);
}

}  // namespace quorate::cmd
