// What the guard against lost logs reads: files that may be damaged, and another member's answer. A Status,
// or something that is the same after it was written and read again.
//
// Byte 0, modulo 6: the rest is 0 the epoch, 1 the run record (each sealed with its right checksum), 2 a slot
// of the peers' memory (likewise), 3 another member's memory of us, 4 a quarantine mark, 5 the state of a
// rejoin.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "cluster/member.h"
#include "server/continuity.h"
#include "server/peer_memory.h"
#include "server/quarantine.h"
#include "server/rejoin.h"

namespace quorate::server {
namespace {

std::string SealedLine(std::string_view text) {
  return std::string(text) + " crc=" + cluster::IdText(crc32c::Value(text)) + "\n";
}

std::string SealedSlot(std::string_view text) {
  std::string slot(text);
  char crc[sizeof(uint32_t)];
  StoreBig32(crc, crc32c::Value(text));
  return slot.append(crc, sizeof crc);
}

void Decode(uint8_t kind, std::string_view bytes) {
  switch (kind) {
    case 0:
      if (const auto epoch = DecodeEpoch(SealedLine(bytes)); epoch.ok()) {
        QUORATE_CHECK(*DecodeEpoch(EncodeEpoch(*epoch)) == *epoch);
      }
      return;
    case 1:
      if (const auto record = DecodeRunRecord(SealedLine(bytes)); record.ok()) {
        QUORATE_CHECK(*DecodeRunRecord(EncodeRunRecord(*record)) == *record);
      }
      return;
    case 2:
      if (const auto slot = DecodePeerMemory(SealedSlot(bytes)); slot.ok()) {
        const std::string again = EncodePeerMemory(slot->memory, slot->sequence, slot->cluster_id);
        QUORATE_CHECK(DecodePeerMemory(again)->memory == slot->memory);
      }
      return;
    case 3:
      if (const auto position = ParseMemoryJson(bytes, 1, 2); position.ok()) {
        QUORATE_CHECK(*ParseMemoryJson(MemoryJson(1, 2, *position), 1, 2) == *position);
      }
      return;
    case 4:
      if (const auto mark = DecodeMark(bytes); mark.ok()) {
        QUORATE_CHECK(DecodeMark(EncodeMark(*mark))->member_id == mark->member_id);
      }
      return;
    default:
      if (const auto state = DecodeRejoin(bytes); state.ok()) {
        QUORATE_CHECK(DecodeRejoin(EncodeRejoin(*state))->new_id == state->new_id);
      }
  }
}

}  // namespace
}  // namespace quorate::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  quorate::server::Decode(data[0] % 6, {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
