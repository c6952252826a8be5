// The protobuf wire format, hand-driven: for what is written or read on the fast path and for the files,
// whose byte layout must be exactly the original's whatever a protobuf library does. Source:
// https://protobuf.dev/programming-guides/encoding/
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace quorate::wire {

enum class Type : uint8_t {
  kVarint = 0,
  kFixed64 = 1,
  kBytes = 2,
  kGroupStart = 3,
  kGroupEnd = 4,
  kFixed32 = 5
};

constexpr int kVarintMax = 10;

constexpr size_t VarintSize(uint64_t v) { return static_cast<size_t>((std::bit_width(v | 1) + 6) / 7); }
constexpr uint32_t Tag(uint32_t field, Type type) { return field << 3 | static_cast<uint32_t>(type); }
constexpr size_t VarintFieldSize(uint32_t field, uint64_t v) {
  return VarintSize(uint64_t{field} << 3) + VarintSize(v);
}
constexpr size_t BytesFieldSize(uint32_t field, size_t n) {
  return VarintSize(uint64_t{field} << 3) + VarintSize(n) + n;
}

// Writes v at out, which has room for kVarintMax bytes; returns the end.
inline char* WriteVarint(char* out, uint64_t v) {
  while (v >= 0x80) {
    *out++ = static_cast<char>(v | 0x80);
    v >>= 7;
  }
  *out++ = static_cast<char>(v);
  return out;
}

inline void AppendVarint(std::string& out, uint64_t v) {
  char buffer[kVarintMax];
  out.append(buffer, static_cast<size_t>(WriteVarint(buffer, v) - buffer));
}
// The field is written whatever its value (gogo's non-nullable proto2 scalars).
inline void AppendVarintField(std::string& out, uint32_t field, uint64_t v) {
  AppendVarint(out, Tag(field, Type::kVarint));
  AppendVarint(out, v);
}
// proto3: a zero is left out.
inline void AppendVarintFieldNonZero(std::string& out, uint32_t field, uint64_t v) {
  if (v != 0) AppendVarintField(out, field, v);
}
inline void AppendBytesField(std::string& out, uint32_t field, std::string_view bytes) {
  AppendVarint(out, Tag(field, Type::kBytes));
  AppendVarint(out, bytes.size());
  out.append(bytes);
}
inline void AppendBytesFieldNonEmpty(std::string& out, uint32_t field, std::string_view bytes) {
  if (!bytes.empty()) AppendBytesField(out, field, bytes);
}

// Walks the fields of one message. Every length is checked; after a malformed byte Next() returns false and
// ok() is false. Views point into the input.
class Reader {
 public:
  explicit Reader(std::string_view in) : p_(in.data()), end_(in.data() + in.size()) {}

  // Moves to the next field and reads its value; false at the end or on malformed input.
  bool Next() {
    if (p_ == end_ || !ok_) return false;
    uint64_t tag;
    if (!ReadVarint(&tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff) return Fail();
    field_ = static_cast<uint32_t>(tag >> 3);
    type_ = static_cast<Type>(tag & 7);
    switch (type_) {
      case Type::kVarint:
        return ReadVarint(&value_) || Fail();
      case Type::kFixed64:
        return ReadFixed(8);
      case Type::kFixed32:
        return ReadFixed(4);
      case Type::kBytes: {
        uint64_t n;
        if (!ReadVarint(&n) || n > static_cast<uint64_t>(end_ - p_)) return Fail();
        bytes_ = {p_, static_cast<size_t>(n)};
        p_ += n;
        return true;
      }
      case Type::kGroupStart:
      case Type::kGroupEnd:
        return Fail();  // No message of etcd has groups.
    }
    return Fail();
  }

  bool ok() const { return ok_; }
  uint32_t field() const { return field_; }
  Type type() const { return type_; }
  bool Is(uint32_t field, Type type) const { return field_ == field && type_ == type; }
  uint64_t varint() const { return value_; }
  int64_t int64() const { return static_cast<int64_t>(value_); }
  std::string_view bytes() const { return bytes_; }

 private:
  bool Fail() {
    ok_ = false;
    return false;
  }
  bool ReadVarint(uint64_t* v) {
    uint64_t result = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      if (p_ == end_) return false;
      const auto byte = static_cast<uint8_t>(*p_++);
      if (shift == 63 && byte > 1) return false;
      result |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        *v = result;
        return true;
      }
    }
    return false;
  }
  bool ReadFixed(size_t n) {
    if (static_cast<size_t>(end_ - p_) < n) return Fail();
    value_ = 0;
    std::memcpy(&value_, p_, n);
    p_ += n;
    return true;
  }

  const char* p_;
  const char* end_;
  bool ok_ = true;
  uint32_t field_ = 0;
  Type type_ = Type::kVarint;
  uint64_t value_ = 0;
  std::string_view bytes_;
};

}  // namespace quorate::wire
