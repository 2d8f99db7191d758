using System.Globalization;
using System.Text;

namespace Quorumail.Core.Delivery;

/// <summary>The encoding of ENVID and ORCPT (RFC 3461 4).</summary>
public static class Xtext
{
    /// <summary>The decoded form, if it is printable ASCII; otherwise the text as it is.</summary>
    public static string Decode(string text)
    {
        if (!text.Contains('+', StringComparison.Ordinal))
        {
            return text;
        }

        var decoded = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '+')
            {
                decoded.Append(text[i]);
                continue;
            }

            if (i + 2 >= text.Length
                || !byte.TryParse(text.AsSpan(i + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var octet)
                || octet is < 0x20 or > 0x7e)
            {
                return text;
            }

            decoded.Append((char)octet);
            i += 2;
        }

        return decoded.ToString();
    }
}
