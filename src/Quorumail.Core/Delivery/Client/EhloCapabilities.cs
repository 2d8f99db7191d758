using System.Globalization;

namespace Quorumail.Core.Delivery.Client;

/// <summary>What a next hop's EHLO or LHLO reply offers. Immutable.</summary>
public sealed record EhloCapabilities
{
    /// <summary>After HELO: nothing.</summary>
    public static EhloCapabilities None { get; } = new();

    /// <summary>RFC 2920.</summary>
    public bool Pipelining { get; init; }

    /// <summary>RFC 6152.</summary>
    public bool EightBitMime { get; init; }

    /// <summary>RFC 6531.</summary>
    public bool SmtpUtf8 { get; init; }

    /// <summary>RFC 3461.</summary>
    public bool Dsn { get; init; }

    /// <summary>RFC 3207.</summary>
    public bool StartTls { get; init; }

    /// <summary>RFC 1870: whether SIZE= may be given at MAIL.</summary>
    public bool Size { get; init; }

    /// <summary>RFC 1870: most octets of a message, 0 for no fixed limit.</summary>
    public long SizeMax { get; init; }

    /// <summary>RFC 4954: mechanisms in capitals.</summary>
    public IReadOnlyList<string> AuthMechanisms { get; init; } = [];

    /// <summary>Reads the lines after the first; unknown ones are ignored.</summary>
    public static EhloCapabilities Parse(SmtpReply reply)
    {
        ArgumentNullException.ThrowIfNull(reply);
        var offered = None;
        for (var i = 1; i < reply.Lines.Count; i++)
        {
            var line = reply.Lines[i].Trim();
            var end = line.AsSpan().IndexOfAny(' ', '=');
            var keyword = (end < 0 ? line : line[..end]).ToUpperInvariant();
            var parameters = end < 0 ? string.Empty : line[(end + 1)..];
            offered = keyword switch
            {
                "PIPELINING" => offered with { Pipelining = true },
                "8BITMIME" => offered with { EightBitMime = true },
                "SMTPUTF8" => offered with { SmtpUtf8 = true },
                "DSN" => offered with { Dsn = true },
                "STARTTLS" => offered with { StartTls = true },
                "SIZE" => offered with { Size = true, SizeMax = ReadSize(parameters) },
                "AUTH" => offered with { AuthMechanisms = Join(offered.AuthMechanisms, parameters) },
                _ => offered,
            };
        }

        return offered;
    }

    private static long ReadSize(string parameters) =>
        long.TryParse(parameters.AsSpan().Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var size) ? size : 0;

    /// <summary>Some servers say AUTH twice, once in an old form with an equals sign.</summary>
    private static List<string> Join(IReadOnlyList<string> known, string parameters)
    {
        List<string> all = [.. known];
        foreach (var word in parameters.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var mechanism = word.ToUpperInvariant();
            if (!all.Contains(mechanism, StringComparer.Ordinal))
            {
                all.Add(mechanism);
            }
        }

        return all;
    }
}
