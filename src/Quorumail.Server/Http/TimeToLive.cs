using System.Globalization;

namespace Quorumail.Server.Http;

/// <summary>A time to live as people write it: seconds, or a number with ms, s, m, h or d.</summary>
internal static class TimeToLive
{
    private static readonly (string Unit, TimeSpan Span)[] Units =
    [
        ("ms", TimeSpan.FromMilliseconds(1)),
        ("s", TimeSpan.FromSeconds(1)),
        ("m", TimeSpan.FromMinutes(1)),
        ("h", TimeSpan.FromHours(1)),
        ("d", TimeSpan.FromDays(1)),
        ("", TimeSpan.FromSeconds(1)),
    ];

    /// <summary>Reads it; false if it is not one, or below a millisecond.</summary>
    public static bool TryParse(string text, out TimeSpan span)
    {
        foreach (var (unit, size) in Units)
        {
            if (text.EndsWith(unit, StringComparison.Ordinal)
                && double.TryParse(text[..^unit.Length], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)
                && number * size.TotalMilliseconds is >= 1 and < 1e15)
            {
                span = TimeSpan.FromMilliseconds(Math.Floor(number * size.TotalMilliseconds));
                return true;
            }
        }

        span = default;
        return false;
    }
}
