using System.Text;
using System.Text.Json;

namespace Quorumail.Tests.Formats;

/// <summary>
/// The bytes of a format as they stand on disks or on the wire: lines of a name and of bytes in hexadecimal, "??" for those that
/// chance or time decides, "*" at the end for any more. Lines are added; none is changed as long as a program that wrote it may be about.
/// </summary>
internal sealed class GoldenFile
{
    private const string Rule =
        "A format that is on disks or on the wire changed: raise the version, keep reading the old one, add a line to the golden file; do not edit this one.";

    // Also of tuples.
    private static readonly JsonSerializerOptions Shown = new() { IncludeFields = true };

    private readonly string _name;
    private readonly Dictionary<string, string> _lines = new(StringComparer.Ordinal);
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);
    private readonly List<string> _faults = [];

    private GoldenFile(string name) => _name = name;

    /// <summary>Reads a file of this folder.</summary>
    public static GoldenFile Open(string name)
    {
        var file = new GoldenFile(name);
        using var stream = typeof(GoldenFile).Assembly.GetManifestResourceStream(name) ?? throw new FileNotFoundException($"There is no {name}.");
        using var reader = new StreamReader(stream, Encoding.UTF8);
        while (reader.ReadLine() is { } line)
        {
            if (line.Length > 0 && line[0] != '#')
            {
                var parts = line.Split(' ', 2);
                file._lines.Add(parts[0], parts.Length > 1 ? parts[1] : "");
            }
        }

        return file;
    }

    /// <summary>The bytes of a line; those that chance decides are 0.</summary>
    public byte[] this[string name]
    {
        get
        {
            _used.Add(name);
            return _lines.TryGetValue(name, out var line) ? Convert.FromHexString(line.Replace('?', '0')) : [];
        }
    }

    /// <summary>The names of all lines.</summary>
    public IReadOnlyCollection<string> Names => _lines.Keys;

    /// <summary>The program of today writes these bytes.</summary>
    public void Writes(string name, ReadOnlySpan<byte> bytes)
    {
        _used.Add(name);
        var now = Convert.ToHexString(bytes);
        if (!_lines.TryGetValue(name, out var line))
        {
            // What is to be added is at hand for what else the test looks at.
            _faults.Add($"{_name} lacks a line:\n{name} {now}");
            _lines.Add(name, now);
        }
        else if (!IsLike(line, now))
        {
            _faults.Add($"{_name}: {name} is written as\n{now}, was\n{line}.");
        }
    }

    /// <summary>The program of today has written such bytes among others.</summary>
    public void Wrote(string name, IReadOnlyCollection<byte[]> all)
    {
        _used.Add(name);
        var line = _lines.GetValueOrDefault(name, "");
        var now = all.Select(Convert.ToHexString).Distinct(StringComparer.Ordinal).ToList();
        if (!now.Exists(bytes => IsLike(line, bytes)))
        {
            _faults.Add($"{_name}: {name} is not written as\n{line}, but there are\n{string.Join('\n', now.OrderBy(bytes => bytes.Length).Take(20))}.");
        }
    }

    /// <summary>The program of today reads these bytes as this value.</summary>
    public void Reads<T>(string name, T expected, Func<byte[], T> decode)
    {
        var bytes = this[name];
        if (!_lines.ContainsKey(name))
        {
            _faults.Add($"{_name} lacks the line {name}.");
            return;
        }

        try
        {
            var now = Describe(decode(bytes));
            if (now != Describe(expected))
            {
                _faults.Add($"{_name}: {name} is read as\n{now}, meant\n{Describe(expected)}.");
            }
        }
        catch (Exception refusal)
        {
            _faults.Add($"{_name}: {name} is not read any more: {refusal.Message}");
        }
    }

    /// <summary>Both.</summary>
    public void Holds<T>(string name, T value, Func<T, byte[]> encode, Func<byte[], T> decode)
    {
        Writes(name, encode(value));
        Reads(name, value, decode);
    }

    /// <summary>Fails if anything was not as it must be, or a line was not looked at.</summary>
    public void Close()
    {
        _faults.AddRange(_lines.Keys.Where(name => !_used.Contains(name)).Select(name => $"{_name}: nothing reads {name} any more."));
        if (_faults.Count > 0)
        {
            Assert.Fail(string.Join('\n', [Rule, .. _faults]));
        }
    }

    private static bool IsLike(string line, string now)
    {
        var known = line.TrimEnd('*');
        return (known.Length == line.Length ? known.Length == now.Length : known.Length <= now.Length)
            && !known.Where((c, at) => c != '?' && c != now[at]).Any();
    }

    /// <summary>Lists and octets compare by reference in records; their text compares by content.</summary>
    private static string Describe<T>(T value) =>
        value is null ? "null" : value.GetType().Name + JsonSerializer.Serialize(value, value.GetType(), Shown);
}
