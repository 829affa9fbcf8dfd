import Foundation
import Files
import ServiceRuntime

/// An import that was begun before, as the state says which lies beside its file.
struct EarlierImport: Sendable {
    /// Where its state is kept.
    let statePath: String
    /// The file that it was of; it may be gone.
    let file: String
    let state: ImportState

    /// How much of a file is what the import had read.
    struct Overlap: Equatable, Sendable {
        /// Bytes from the beginning on, of what a compressed file holds.
        var byteCount: UInt64
        /// Whether that is all that was read.
        var isWhole: Bool
    }

    /// The imports whose states lie in some folders; those from which nothing can have been sent are left out.
    ///
    /// - Parameters:
    ///   - folders: where to look.
    ///   - ownPath: the state of the import that looks.
    ///   - onFailure: told of a state that cannot be read, and why: it may be of anything.
    /// - Returns: the imports, folder by folder and by name.
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

    /// How much a file has in common with what each of these imports had read; nil where it begins otherwise.
    ///
    /// The file is read once as far as any of them had its first proof, which for most is not far. One that ends before that
    /// is compared with the other file itself.
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

    /// Whether all that a file holds, so many bytes, is the beginning of another; whether it may be is seen by little of it.
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
            // The other is not needed, so that nothing has to be right about it.
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
