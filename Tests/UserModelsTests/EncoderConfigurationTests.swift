import Foundation
import Bytes
import NeuralNetwork
import Testing
import UserModels

@Suite struct EncoderConfigurationTests {
    private func error(_ change: (inout EncoderConfiguration) -> Void, _ kind: EncoderConfiguration.Kind = .masked)
        -> String
    {
        var shape = EncoderConfiguration(kind, itemCount: 12, categoryCount: 3)
        change(&shape)
        var random = SeededRandom(seed: 1)
        do {
            _ = try shape.makeEncoder(catalogue: TinyWorld.catalogue, using: &random)
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func eachImpossibleValueIsNamed() {
        #expect(error { $0.heads = 3 } == "encoder.heads is 3, expected a divisor of the width 64")
        #expect(error { $0.width = 10 } == "encoder.width is 10, expected a multiple of 4 from 8 to 65536")
        #expect(error { $0.layers = 0 } == "encoder.layers is 0, expected from 1 to 1000")
        #expect(error { $0.length = -1 } == "encoder.length is -1, expected from 1 to 65536")
        #expect(error { $0.dropout = 1 } == "encoder.dropout is 1.0, expected from 0 to below 1")
        #expect(error { $0.maskedShare = 0 } == "encoder.maskedShare is 0.0, expected between 0 and 1")
        #expect(error { $0.lastMaskedShare = 2 } == "encoder.lastMaskedShare is 2.0, expected from 0 to 1")
        #expect(error { $0.inputScale = .infinity } == "encoder.inputScale is inf, expected from 1e-06 to 1000000.0")
        #expect(
            error { $0.head.temperature = 0 } == "encoder.head.temperature is 0.0, expected from 1e-06 to 1000000.0"
        )
        #expect(error { $0.loss.negativeCount = 0 } == "encoder.loss.negativeCount is 0, expected from 1 to 1000000")
        #expect(
            error { $0.features.ratingStep = 0 }
                == "encoder.features.ratingStep is 0.0, expected from 1e-06 to 1000000.0"
        )
        #expect(
            error { $0.timeBiasBuckets = 9 }
                == "encoder.timeBiasBuckets is 9, expected 0, because only hstu blocks have a time bias"
        )
        #expect(
            error({ $0.ratingLossWeight = 1 }, .dual)
                == "encoder.ratingLossWeight is 1.0, expected 0, because a dual encoder predicts items alone"
        )
        #expect(error({ $0.itemCount = 13 }, .dual) == "encoder.itemCount is 13, expected the catalogue's 12 items")
        #expect(
            error {
                $0.features.usesItem = false
                $0.features.usesCategories = false
                $0.features.usesRating = false
                $0.features.usesTimeGap = false
            } == "encoder.features is none used, expected at least one feature in use"
        )
    }

    @Test func anotherTypeIsNamedWithWhatToDo() {
        var random = SeededRandom(seed: 1)
        let shape = EncoderConfiguration(.dual, itemCount: 12, categoryCount: 3)
        #expect {
            _ = try AutoregressiveEncoder(configuration: shape, using: &random)
        } throws: {
            "\($0)"
                == "encoder.type is dual, expected autoregressive; "
                + "make one with `trainer train encoder --encoder autoregressive`"
        }
    }

    /// What earlier versions wrote, key by key.
    private let old = """
        {
          "categoryCount" : 3, "categoryLossWeight" : 0.1, "dropout" : 0.15,
          "features" : {
            "ratingMaximum" : 5, "ratingStep" : 0.5, "timeGapBuckets" : 30, "unknownItemBuckets" : 8,
            "usesCategories" : false, "usesItem" : true, "usesRating" : false, "usesTimeGap" : false
          },
          "feedForwardWidth" : 64, "heads" : 2, "hiddenItemShare" : 0.02, "itemCount" : 12, "layers" : 1,
          "length" : 12, "ratingLossWeight" : 0, "width" : 16
        }
        """

    @Test func aConfigurationOfAnEarlierVersionIsReadAsWhatItWas() throws {
        let shape = try JSONDecoder().decode(EncoderConfiguration.self, from: Data(old.utf8))
        var expected = EncoderConfiguration(itemCount: 12, categoryCount: 3)
        (expected.width, expected.layers, expected.length, expected.dropout) = (16, 1, 12, 0.15)
        expected.feedForwardWidth = 64
        expected.features.usesCategories = false
        expected.features.usesRating = false
        expected.features.usesTimeGap = false
        #expect(shape == expected)
        var random = SeededRandom(seed: 1)
        let encoder = try AutoregressiveEncoder(configuration: shape, using: &random)
        let blocks = ["attention_norm", "query", "key", "value", "output", "feed_forward_norm"].map { "blocks.0.\($0)" }
        let layers = ["fusion"] + blocks + ["blocks.0.feed_forward.up", "blocks.0.feed_forward.down"]
        let pairs = (layers + ["final_norm", "category_head", "rating_head"]).flatMap {
            ["\($0).weight", "\($0).bias"]
        }
        let tables = ["items", "unknown_items", "categories", "ratings", "time_gaps", "positions"].map {
            "\($0).weight"
        }
        #expect(Set(encoder.parameters.map(\.name)) == Set(tables + pairs))
        let widths = Dictionary(uniqueKeysWithValues: encoder.parameters.map { ($0.name, $0.shape) })
        #expect(widths["fusion.weight"] == [16, 16] && widths["categories.weight"] == [3, 8])
    }

    @Test(arguments: EncoderConfiguration.Kind.allCases)
    func whatIsWrittenIsReadBack(kind: EncoderConfiguration.Kind) throws {
        var shape = EncoderConfiguration(kind, itemCount: 12, categoryCount: 3)
        (shape.block, shape.fusion, shape.timeBiasBuckets, shape.inputScale) = (.hstu, .add, 30, 4)
        shape.loss.negatives = .popularity
        let data = try JSONEncoder().encode(shape)
        #expect(try JSONDecoder().decode(EncoderConfiguration.self, from: data) == shape)
        #expect(String(decoding: data, as: UTF8.self).contains(#""type":"\#(kind.rawValue)""#))
    }

    @Test func aNameThatIsNoneIsAnErrorWithThoseThatAre() {
        let text = #"{"itemCount": 12, "categoryCount": 3, "block": "mamba"}"#
        #expect {
            _ = try JSONDecoder().decode(EncoderConfiguration.self, from: Data(text.utf8))
        } throws: {
            "\($0)" == "encoder.block is mamba, expected attention or hstu"
        }
    }

    @Test func theItemAloneNeedsNoProduct() throws {
        var shape = EncoderConfiguration(itemCount: 12, categoryCount: 3)
        shape.fusion = .add
        shape.features.usesCategories = false
        shape.features.usesRating = false
        shape.features.usesTimeGap = false
        var random = SeededRandom(seed: 1)
        let encoder = try AutoregressiveEncoder(configuration: shape, using: &random)
        #expect(!encoder.parameters.contains { $0.name.hasPrefix("fusion") })
    }
}
