import Foundation
import Files
import ServiceRuntime

/// An earlier import, as described by the state file next to its input.
struct EarlierImport: Sendable {
    /// The path of its state.
    let statePath: String
    /// The file it imported, which may be gone.
    let file: String
    let state: ImportState

    /// How much of a file matches what the import had read.
    struct Overlap: Equatable, Sendable {
        /// Bytes from the beginning, of the decompressed content.
        var byteCount: UInt64
        /// Whether that is everything the import had read.
        var isWhole: Bool
    }

    /// The imports whose states are in the given folders, without those that cannot have sent anything.
    ///
    /// - Parameters:
    ///   - folders: where to look.
    ///   - ownPath: the state of the import that looks.
    ///   - onFailure: called for a state that cannot be read, with the reason; it may belong to anything.
    /// - Returns: the imports, by folder and by name.
    static func inFolders(
        _ folders: [String],
        except ownPath: String,
        onFailure: (_ statePath: String, ProcessFailure) -> Void
    ) -> [EarlierImport] {
        var found: [EarlierImport] = []
        for folder in folders {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            for name in names.sorted() {
                let path = folder == "." ? name : "\(folder)/\(name)"
                guard let file = ImportConfiguration.file(ofState: path), !RegularFile.isSame(ownPath, path) else {
                    continue
                }
                do throws(ProcessFailure) {
                    guard let state = try ImportState.read(path), state.doneCount + state.pendingCount > 0 else {
                        continue
                    }
                    found.append(EarlierImport(statePath: path, file: file, state: state))
                } catch {
                    onFailure(path, error)
                }
            }
        }
        return found
    }

    /// How much a file has in common with what each import had read; nil if it begins differently.
    ///
    /// The file is read once, up to the furthest of the imports' first checkpoints, which is usually close. A file that
    /// ends before its checkpoint is compared with the other file directly.
    static func overlaps(of file: String, with imports: [EarlierImport]) throws -> [Overlap?] {
        let firsts = imports.map(\.state.checkpoints.first)
        var digests: [UInt64: String] = [:]
        var proof = try ContentProof(file)
        for offset in Set(firsts.compactMap { $0?.byteOffset }).sorted() {
            guard try proof.advance(to: offset) else { break }
            digests[offset] = proof.checkpoint.sha256
        }
        let end = proof.byteOffset
        return try zip(imports, firsts).map { one, first in
            guard let first else { return nil }
            guard let digest = digests[first.byteOffset] else {
                return isBeginning(file, end, of: one.file) ? Overlap(byteCount: end, isWhole: false) : nil
            }
            return digest == first.sha256 ? try overlap(of: file, with: one.state.checkpoints) : nil
        }
    }

    /// Whether a file's whole content, of this many bytes, is the beginning of another; a small part is enough to rule
    /// it out.
    private static func isBeginning(_ file: String, _ byteCount: UInt64, of other: String) -> Bool {
        guard byteCount > 0, RegularFile.exists(other), !RegularFile.isSame(file, other) else { return false }
        do throws(InputFileError) {
            var (one, two) = (try ContentProof(file), try ContentProof(other))
            for end in [min(byteCount, 1 << 16), byteCount] {
                guard try one.advance(to: end), try two.advance(to: end), one.checkpoint == two.checkpoint else {
                    return false
                }
            }
            return true
        } catch {
            // The other file is not needed, so an error in it does not matter.
            return false
        }
    }

    private static func overlap(of file: String, with checkpoints: [Checkpoint]) throws -> Overlap {
        var proof = try ContentProof(file)
        var overlap = Overlap(byteCount: 0, isWhole: false)
        for checkpoint in checkpoints {
            guard try proof.advance(to: checkpoint.byteOffset), proof.checkpoint == checkpoint else { return overlap }
            overlap.byteCount = checkpoint.byteOffset
        }
        overlap.isWhole = true
        return overlap
    }
}
