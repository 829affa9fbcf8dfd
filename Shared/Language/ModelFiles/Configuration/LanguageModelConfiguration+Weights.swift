extension LanguageModelConfiguration {
    /// A weight of the model.
    struct Weight {
        /// The name in Hugging Face's files, such as `model.layers.0.self_attn.q_proj.weight`.
        let name: String
        /// The name in GGUF files, such as `blk.0.attn_q.weight`.
        let ggufName: String
        let shape: [Int]
        /// Whether its rows, or its values if it has one dimension, are rotated: those of q and k.
        var isRotated = false
    }

    /// Names and shapes of all weights under Hugging Face's names, in the order of the computation.
    public var weightShapes: [(name: String, shape: [Int])] { weights.map { ($0.name, $0.shape) } }

    /// All weights, in the order of the computation; an untied head comes last.
    ///
    /// - Source: huggingface/transformers, `modeling_llama.py`, `modeling_qwen2.py`, `modeling_qwen3.py`; ggml-org/llama.cpp,
    ///   `gguf-py/gguf/constants.py`.
    var weights: [Weight] {
        let D = width
        var list = [
            Weight(name: "model.embed_tokens.weight", ggufName: "token_embd.weight", shape: [vocabularySize, D])
        ]
        for index in 0..<layers { list += weights(ofBlock: index) }
        list.append(Weight(name: "model.norm.weight", ggufName: "output_norm.weight", shape: [D]))
        if !tiesEmbeddings {
            list.append(Weight(name: "lm_head.weight", ggufName: "output.weight", shape: [vocabularySize, D]))
        }
        return list
    }

    private func weights(ofBlock index: Int) -> [Weight] {
        let (D, F) = (width, feedForwardWidth)
        let (queryWidth, keyWidth) = (heads * headWidth, keyValueHeads * headWidth)
        let (block, ggufBlock) = ("model.layers.\(index)", "blk.\(index)")
        func weight(_ name: String, _ ggufName: String, _ shape: [Int], isRotated: Bool = false) -> Weight {
            Weight(
                name: "\(block).\(name)",
                ggufName: "\(ggufBlock).\(ggufName)",
                shape: shape,
                isRotated: isRotated
            )
        }
        var list = [
            weight("input_layernorm.weight", "attn_norm.weight", [D]),
            weight("self_attn.q_proj.weight", "attn_q.weight", [queryWidth, D], isRotated: true),
            weight("self_attn.k_proj.weight", "attn_k.weight", [keyWidth, D], isRotated: true),
            weight("self_attn.v_proj.weight", "attn_v.weight", [keyWidth, D]),
            weight("self_attn.o_proj.weight", "attn_output.weight", [D, queryWidth]),
        ]
        if hasInputBiases {
            list += [
                weight("self_attn.q_proj.bias", "attn_q.bias", [queryWidth], isRotated: true),
                weight("self_attn.k_proj.bias", "attn_k.bias", [keyWidth], isRotated: true),
                weight("self_attn.v_proj.bias", "attn_v.bias", [keyWidth]),
            ]
        }
        if hasOutputBias { list.append(weight("self_attn.o_proj.bias", "attn_output.bias", [D])) }
        if normalizesHeads {
            list += [
                weight("self_attn.q_norm.weight", "attn_q_norm.weight", [headWidth]),
                weight("self_attn.k_norm.weight", "attn_k_norm.weight", [headWidth]),
            ]
        }
        return list + [
            weight("post_attention_layernorm.weight", "ffn_norm.weight", [D]),
            weight("mlp.gate_proj.weight", "ffn_gate.weight", [F, D]),
            weight("mlp.up_proj.weight", "ffn_up.weight", [F, D]),
            weight("mlp.down_proj.weight", "ffn_down.weight", [D, F]),
        ]
    }
}
