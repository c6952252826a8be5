#include "base/sparse_bytes.h"

#include <algorithm>
#include <cstring>

namespace quorate {

SparseBytes SparseBytes::Clone() const {
  SparseBytes copy;
  copy.size_ = size_;
  copy.pages_.reserve(pages_.size());
  for (const auto& page : pages_) copy.pages_.push_back(page ? std::make_unique<Page>(*page) : nullptr);
  return copy;
}

void SparseBytes::Resize(uint64_t size) {
  if (size < size_ && size % kPageBytes != 0) {
    const auto& last = pages_[size / kPageBytes];
    if (last) std::fill(last->begin() + static_cast<std::ptrdiff_t>(size % kPageBytes), last->end(), '\0');
  }
  pages_.resize((size + kPageBytes - 1) / kPageBytes);
  size_ = size;
}

void SparseBytes::Write(uint64_t offset, std::string_view data) {
  if (data.empty()) return;
  if (offset + data.size() > size_) Resize(offset + data.size());
  while (!data.empty()) {
    auto& page = pages_[offset / kPageBytes];
    if (!page) {
      page = std::make_unique<Page>();
      page->fill('\0');
    }
    const size_t start = offset % kPageBytes;
    const size_t n = std::min(data.size(), kPageBytes - start);
    std::memcpy(page->data() + start, data.data(), n);
    data.remove_prefix(n);
    offset += n;
  }
}

size_t SparseBytes::Read(uint64_t offset, char* out, size_t length) const {
  if (offset >= size_) return 0;
  length = static_cast<size_t>(std::min<uint64_t>(length, size_ - offset));
  for (size_t done = 0; done < length;) {
    const auto& page = pages_[(offset + done) / kPageBytes];
    const size_t start = (offset + done) % kPageBytes;
    const size_t n = std::min(length - done, kPageBytes - start);
    if (page) {
      std::memcpy(out + done, page->data() + start, n);
    } else {
      std::memset(out + done, 0, n);
    }
    done += n;
  }
  return length;
}

}  // namespace quorate
