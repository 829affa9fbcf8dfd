/// Decodes the entities in text scraped from web pages, once: `&amp;amp;` becomes `&amp;`.
///
/// Supports HTML 4's 252 names and `apos`, which are those in published data, and decimal and hexadecimal numbers. An
/// entity ends with a semicolon. Anything else stays as it is: `AT&T`, `&foo;`, `&#0;`.
///
/// - Source: HTML 4.01, section 24; for the numbers from 128 to 159, which mean Windows-1252, HTML's living standard,
///   section 13.2.5.80.
enum HTMLEntities {
    /// Decodes the entities of a text in place.
    ///
    /// - Returns: how many were decoded.
    static func decode(_ text: inout [UInt8]) -> Int {
        guard let first = text.firstIndex(of: UInt8(ascii: "&")) else { return 0 }
        var (read, written, count) = (first, first, 0)
        while read < text.count {
            if text[read] == UInt8(ascii: "&"), let (scalar, end) = entity(text, read + 1) {
                // An entity is never shorter than the UTF-8 of its character.
                for byte in String(Character(scalar)).utf8 {
                    text[written] = byte
                    written += 1
                }
                read = end
                count += 1
            } else {
                text[written] = text[read]
                written += 1
                read += 1
            }
        }
        text.removeLast(text.count - written)
        return count
    }

    /// The character of the entity whose `&` is just before `start`, and where the text continues.
    private static func entity(_ text: [UInt8], _ start: Int) -> (Unicode.Scalar, end: Int)? {
        // The longest names have eight letters, the largest numbers seven digits.
        guard let end = text[start..<min(start + 11, text.count)].firstIndex(of: UInt8(ascii: ";")), end > start
        else { return nil }
        let value = text[start] == UInt8(ascii: "#") ? number(text[(start + 1)..<end]) : named(text[start..<end])
        guard let value, let scalar = Unicode.Scalar(value) else { return nil }
        return (scalar, end + 1)
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> UInt32? {
        let isHexadecimal = digits.first.map { $0 | 0x20 == UInt8(ascii: "x") } ?? false
        let digits = isHexadecimal ? digits.dropFirst() : digits
        guard !digits.isEmpty, digits.count <= 8 else { return nil }
        var value: UInt32 = 0
        for byte in digits {
            guard byte < 0x80, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, isHexadecimal || digit < 10
            else { return nil }
            value = value &* (isHexadecimal ? 16 : 10) &+ UInt32(digit)
        }
        switch value {
        case 0x80...0x9F: return windows1252[Int(value) - 0x80]
        // White space is valid; other control characters do not belong in a title.
        case 0x09, 0x0A, 0x0D, 0x20..<0x7F, 0xA0...: return value
        default: return nil
        }
    }

    private static func named(_ name: ArraySlice<UInt8>) -> UInt32? {
        name.count <= 8 ? scalars[key(name)] : nil
    }

    /// No name has more than eight letters, so it fits in an integer.
    private static func key(_ name: some Sequence<UInt8>) -> UInt64 { name.reduce(0) { $0 << 8 | UInt64($1) } }

    private static let scalars: [UInt64: UInt32] = {
        var scalars: [UInt64: UInt32] = [:]
        for entry in names.split(whereSeparator: \.isWhitespace) {
            let parts = entry.split(separator: "=")
            scalars[key(parts[0].utf8)] = UInt32(parts[1])
        }
        return scalars
    }()

    /// The meanings of 128 to 159; unassigned ones are control characters in Windows-1252 too.
    private static let windows1252: [UInt32?] = [
        0x20AC, nil, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, nil,
        0x017D, nil, nil, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A,
        0x0153, nil, 0x017E, 0x0178,
    ]

    private static let names = """
        quot=34 amp=38 lt=60 gt=62 nbsp=160 iexcl=161 cent=162 pound=163 curren=164 yen=165 brvbar=166
        sect=167 uml=168 copy=169 ordf=170 laquo=171 not=172 shy=173 reg=174 macr=175 deg=176 plusmn=177
        sup2=178 sup3=179 acute=180 micro=181 para=182 middot=183 cedil=184 sup1=185 ordm=186 raquo=187
        frac14=188 frac12=189 frac34=190 iquest=191 Agrave=192 Aacute=193 Acirc=194 Atilde=195 Auml=196
        Aring=197 AElig=198 Ccedil=199 Egrave=200 Eacute=201 Ecirc=202 Euml=203 Igrave=204 Iacute=205
        Icirc=206 Iuml=207 ETH=208 Ntilde=209 Ograve=210 Oacute=211 Ocirc=212 Otilde=213 Ouml=214 times=215
        Oslash=216 Ugrave=217 Uacute=218 Ucirc=219 Uuml=220 Yacute=221 THORN=222 szlig=223 agrave=224
        aacute=225 acirc=226 atilde=227 auml=228 aring=229 aelig=230 ccedil=231 egrave=232 eacute=233
        ecirc=234 euml=235 igrave=236 iacute=237 icirc=238 iuml=239 eth=240 ntilde=241 ograve=242 oacute=243
        ocirc=244 otilde=245 ouml=246 divide=247 oslash=248 ugrave=249 uacute=250 ucirc=251 uuml=252
        yacute=253 thorn=254 yuml=255 OElig=338 oelig=339 Scaron=352 scaron=353 Yuml=376 fnof=402 circ=710
        tilde=732 Alpha=913 Beta=914 Gamma=915 Delta=916 Epsilon=917 Zeta=918 Eta=919 Theta=920 Iota=921
        Kappa=922 Lambda=923 Mu=924 Nu=925 Xi=926 Omicron=927 Pi=928 Rho=929 Sigma=931 Tau=932 Upsilon=933
        Phi=934 Chi=935 Psi=936 Omega=937 alpha=945 beta=946 gamma=947 delta=948 epsilon=949 zeta=950
        eta=951 theta=952 iota=953 kappa=954 lambda=955 mu=956 nu=957 xi=958 omicron=959 pi=960 rho=961
        sigmaf=962 sigma=963 tau=964 upsilon=965 phi=966 chi=967 psi=968 omega=969 thetasym=977 upsih=978
        piv=982 ensp=8194 emsp=8195 thinsp=8201 zwnj=8204 zwj=8205 lrm=8206 rlm=8207 ndash=8211 mdash=8212
        lsquo=8216 rsquo=8217 sbquo=8218 ldquo=8220 rdquo=8221 bdquo=8222 dagger=8224 Dagger=8225 bull=8226
        hellip=8230 permil=8240 prime=8242 Prime=8243 lsaquo=8249 rsaquo=8250 oline=8254 frasl=8260
        euro=8364 image=8465 weierp=8472 real=8476 trade=8482 alefsym=8501 larr=8592 uarr=8593 rarr=8594
        darr=8595 harr=8596 crarr=8629 lArr=8656 uArr=8657 rArr=8658 dArr=8659 hArr=8660 forall=8704
        part=8706 exist=8707 empty=8709 nabla=8711 isin=8712 notin=8713 ni=8715 prod=8719 sum=8721
        minus=8722 lowast=8727 radic=8730 prop=8733 infin=8734 ang=8736 and=8743 or=8744 cap=8745 cup=8746
        int=8747 there4=8756 sim=8764 cong=8773 asymp=8776 ne=8800 equiv=8801 le=8804 ge=8805 sub=8834
        sup=8835 nsub=8836 sube=8838 supe=8839 oplus=8853 otimes=8855 perp=8869 sdot=8901 lceil=8968
        rceil=8969 lfloor=8970 rfloor=8971 lang=9001 rang=9002 loz=9674 spades=9824 clubs=9827 hearts=9829
        diams=9830 apos=39
        """
}
