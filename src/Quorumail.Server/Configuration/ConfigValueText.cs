using System.Buffers;
using System.Collections;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace Quorumail.Server.Configuration;

/// <summary>How each type of value is read from text and written as text.</summary>
internal static class ConfigValueText
{
    private static readonly SearchValues<char> NumberCharacters = SearchValues.Create("0123456789.");

    /// <summary>The most that a limit can allow in a window.</summary>
    private const int RateMax = 1_000_000_000;

    private static readonly ConfigKeyAttribute WindowRules = new() { Minimum = 1, Maximum = 31 * 86_400 };

    private static readonly (string Suffix, double Seconds)[] DurationUnits =
        [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];

    private static readonly (string Suffix, long Octets)[] SizeUnits =
    [
        ("TB", 1L << 40), ("GB", 1L << 30), ("MB", 1L << 20), ("KB", 1L << 10),
        ("T", 1L << 40), ("G", 1L << 30), ("M", 1L << 20), ("K", 1L << 10), ("B", 1),
    ];

    /// <summary>Reads a scalar of <paramref name="type"/>.</summary>
    /// <param name="node">What was written.</param>
    /// <param name="type">The property's type, or that of a list's items.</param>
    /// <param name="rules">Range and unit.</param>
    /// <param name="value">The value, if it is one.</param>
    /// <param name="expected">Otherwise: what is expected, as the end of "must be …".</param>
    public static bool TryRead(
        ConfigNode node,
        Type type,
        ConfigKeyAttribute rules,
        out object? value,
        [NotNullWhen(false)] out string? expected)
    {
        value = null;
        type = Nullable.GetUnderlyingType(type) ?? type;
        var text = node.Text.Trim();
        expected = node.Items is not null ? "a single value, not a list"
            : type == typeof(string) ? ReadString(node, out value)
            : type == typeof(bool) ? ReadBoolean(text, out value)
            : type == typeof(int) || type == typeof(long) ? ReadNumber(text, type, rules, out value)
            : type == typeof(TimeSpan) ? ReadDuration(text, rules, out value)
            : type == typeof(MessageRate) ? ReadRate(text, out value)
            : type == typeof(IPAddress) ? ReadAddress(text, out value)
            : type == typeof(IPNetwork) ? ReadNetwork(text, out value)
            : type.IsEnum ? ReadName(text, type, out value)
            : throw new NotSupportedException($"No reader for options of type {type}");
        return expected is null;
    }

    /// <summary>Writes a value as it would stand in the file.</summary>
    public static string Write(object? value, ConfigKeyAttribute rules) => value switch
    {
        null => "\"\"",
        string text => rules.IsSecret && text.Length > 0 ? "\"********\"" : Quoted(text),
        bool truth => truth ? "true" : "false",
        long octets when rules.IsByteSize => Quoted(WriteSize(octets)),
        TimeSpan time => Quoted(WriteDuration(time)),
        Enum name => Quoted(ConfigSchema.SnakeCase(name.ToString())),
        IPAddress or IPNetwork or MessageRate => Quoted(value.ToString()!),
        IEnumerable list => $"[{string.Join(", ", list.Cast<object>().Select(item => Write(item, rules)))}]",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => Quoted(value.ToString()!),
    };

    /// <summary>Writes a duration in the largest unit that divides it.</summary>
    public static string WriteDuration(TimeSpan time)
    {
        var milliseconds = (long)time.TotalMilliseconds;
        if (milliseconds == 0)
        {
            return "0s";
        }

        foreach (var (suffix, seconds) in DurationUnits.Reverse().Where(unit => unit.Suffix is not "w"))
        {
            var unit = (long)(seconds * 1000);
            if (milliseconds % unit == 0)
            {
                return string.Create(CultureInfo.InvariantCulture, $"{milliseconds / unit}{suffix}");
            }
        }

        return string.Create(CultureInfo.InvariantCulture, $"{milliseconds}ms");
    }

    /// <summary>Writes a count of octets in the largest unit that divides it.</summary>
    public static string WriteSize(long octets)
    {
        foreach (var (suffix, unit) in SizeUnits)
        {
            if (octets > 0 && octets % unit == 0)
            {
                return string.Create(CultureInfo.InvariantCulture, $"{octets / unit}{suffix}");
            }
        }

        return "0";
    }

    private static string Quoted(string text) =>
        $"\"{text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"";

    private static string? ReadString(ConfigNode node, out object? value)
    {
        value = node.Text;
        return !node.IsString ? "text in quotes"
            : node.Text.Any(char.IsControl) ? "text without control characters"
            : null;
    }

    private static string? ReadBoolean(string text, out object? value)
    {
        bool? truth = text.ToLowerInvariant() switch
        {
            "true" or "1" or "yes" or "on" => true,
            "false" or "0" or "no" or "off" or "" => false,
            _ => null,
        };
        value = truth;
        return truth is null ? "true or false" : null;
    }

    private static string? ReadNumber(string text, Type type, ConfigKeyAttribute rules, out object? value)
    {
        value = null;
        var what = rules.IsByteSize ? "a size such as \"50MB\"" : "a whole number";
        var unit = 1L;
        if (rules.IsByteSize)
        {
            foreach (var (suffix, octets) in SizeUnits)
            {
                if (text.EndsWith(suffix, StringComparison.OrdinalIgnoreCase))
                {
                    unit = octets;
                    text = text[..^suffix.Length].TrimEnd();
                    break;
                }
            }
        }

        if (!long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)
            || Math.Abs((double)number * unit) > long.MaxValue / 2)
        {
            return what;
        }

        number *= unit;
        if (number < rules.Minimum || number > rules.Maximum)
        {
            var low = rules.IsByteSize ? WriteSize((long)rules.Minimum) : rules.Minimum.ToString(CultureInfo.InvariantCulture);
            var high = rules.IsByteSize ? WriteSize((long)rules.Maximum) : rules.Maximum.ToString(CultureInfo.InvariantCulture);
            return $"{what} from {low} to {high}";
        }

        value = type == typeof(int) ? (object)(int)number : number;
        return null;
    }

    private static string? ReadDuration(string text, ConfigKeyAttribute rules, out object? value)
    {
        value = null;
        const string What = "a duration such as \"30s\", \"5m\", \"1h30m\" or \"5d\"";
        var rest = text.AsSpan();
        var seconds = 0.0;
        if (rest is "0")
        {
            rest = "0s";
        }

        if (rest.IsEmpty)
        {
            return What;
        }

        while (!rest.IsEmpty)
        {
            var digits = rest.IndexOfAnyExcept(NumberCharacters);
            if (digits <= 0 || !double.TryParse(rest[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number))
            {
                return What;
            }

            rest = rest[digits..];
            var letters = rest.IndexOfAny(NumberCharacters);
            var suffix = (letters < 0 ? rest : rest[..letters]).Trim().ToString();
            var unit = Array.Find(DurationUnits, u => string.Equals(u.Suffix, suffix, StringComparison.Ordinal));
            if (unit.Suffix is null)
            {
                return What;
            }

            seconds += number * unit.Seconds;
            rest = letters < 0 ? default : rest[letters..];
        }

        if (seconds < rules.Minimum || seconds > rules.Maximum)
        {
            return $"a duration from {WriteDuration(TimeSpan.FromSeconds(rules.Minimum))} to {WriteDuration(TimeSpan.FromSeconds(rules.Maximum))}";
        }

        value = TimeSpan.FromSeconds(seconds);
        return null;
    }

    private static string? ReadRate(string text, out object? value)
    {
        const string What = "messages and a window, from one second to 31 days, such as \"100/1m\", \"1000/1h\" or \"5000/1d\"; \"\" for no limit";
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        value = default(MessageRate);
        if (text.Length == 0 || text is "0")
        {
            return null;
        }

        if (slash < 0 || !int.TryParse(text.AsSpan(0, slash).TrimEnd(), NumberStyles.None, CultureInfo.InvariantCulture, out var count)
            || count < 1 || count > RateMax
            || ReadDuration(text[(slash + 1)..].TrimStart(), WindowRules, out var window) is not null)
        {
            return What;
        }

        value = new MessageRate(count, (TimeSpan)window!);
        return null;
    }

    private static string? ReadAddress(string text, out object? value)
    {
        value = null;
        if (text.Equals("localhost", StringComparison.OrdinalIgnoreCase))
        {
            value = IPAddress.Loopback;
            return null;
        }

        if (IPAddress.TryParse(text.Trim('[', ']'), out var address) && (address.ToString().Contains(':', StringComparison.Ordinal) || text.Count(c => c == '.') == 3))
        {
            value = address;
            return null;
        }

        return "an IP address such as \"127.0.0.1\", \"0.0.0.0\" or \"::\"";
    }

    private static string? ReadNetwork(string text, out object? value)
    {
        value = null;
        const string What = "a network such as \"10.0.0.0/8\", \"192.0.2.1\" or \"2001:db8::/32\"";
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        var addressText = slash < 0 ? text : text[..slash];
        if (ReadAddress(addressText, out var parsed) is not null || parsed is not IPAddress address)
        {
            return What;
        }

        var bits = address.GetAddressBytes().Length * 8;
        var prefix = bits;
        if (slash >= 0 && (!int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out prefix) || prefix > bits))
        {
            return What;
        }

        var masked = Masked(address, prefix);
        if (!masked.Equals(address))
        {
            return $"a network without bits beyond its prefix: \"{masked}/{prefix.ToString(CultureInfo.InvariantCulture)}\"";
        }

        value = new IPNetwork(address, prefix);
        return null;
    }

    private static IPAddress Masked(IPAddress address, int prefix)
    {
        var bytes = address.GetAddressBytes();
        for (var i = 0; i < bytes.Length; i++)
        {
            var kept = Math.Clamp(prefix - (i * 8), 0, 8);
            bytes[i] &= (byte)(0xff << (8 - kept));
        }

        return new IPAddress(bytes);
    }

    private static string? ReadName(string text, Type type, out object? value)
    {
        value = null;
        foreach (var name in Enum.GetNames(type))
        {
            if (ConfigSchema.SnakeCase(name).Equals(text, StringComparison.OrdinalIgnoreCase))
            {
                value = Enum.Parse(type, name);
                return null;
            }
        }

        return $"one of {string.Join(", ", Enum.GetNames(type).Select(name => $"\"{ConfigSchema.SnakeCase(name)}\""))}";
    }
}
