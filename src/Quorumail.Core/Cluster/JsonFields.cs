using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Quorumail.Core.Cluster;

/// <summary>
/// Reads the one JSON object of a guide message field by field. Unknown fields are skipped, so that a newer node may
/// say more; a known field of the wrong type, a field that stands twice, deep nesting, a name or text above its limit
/// and anything that is not one object make the message invalid.
/// </summary>
internal ref struct JsonFields
{
    // Heartbeats nest two levels; what a newer version adds may go some deeper.
    private const int DepthMax = 8;

    /// <summary>Bytes that a text's byte takes at most: <c>\u007F</c>.</summary>
    private const int EscapeMax = 6;

    private Utf8JsonReader _reader;
    private readonly int _depth;
    private ulong _seen;

    private JsonFields(Utf8JsonReader reader)
    {
        _reader = reader;
        _depth = reader.CurrentDepth;
    }

    /// <summary>How the guide's messages are written: one line, readable, UTF-8 as it is.</summary>
    public static JsonWriterOptions Writing { get; } = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Reads a message.</summary>
    /// <param name="json">The frame's body.</param>
    /// <param name="read">Reads the object's fields and returns null if something that it needs isn't there.</param>
    public static T? Read<T>(ReadOnlySpan<byte> json, Reading<T> read)
        where T : class
    {
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = DepthMax });
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            {
                return null;
            }

            var fields = new JsonFields(reader);
            var message = read(ref fields);
            return message is not null && fields.IsAtEnd() ? message : null;
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException or FormatException)
        {
            // Not JSON, or a text that is not UTF-8.
            return null;
        }
    }

    /// <summary>Writes a message's object.</summary>
    public static void Write<T>(IBufferWriter<byte> target, T message, Action<Utf8JsonWriter, T> fields)
    {
        ArgumentNullException.ThrowIfNull(target);
        using var writer = new Utf8JsonWriter(target, Writing);
        writer.WriteStartObject();
        fields(writer, message);
        writer.WriteEndObject();
    }

    /// <summary>Stands at the next field's value. False behind the last one.</summary>
    public bool Next()
    {
        if (!_reader.Read())
        {
            throw new JsonException();
        }

        if (_reader.TokenType == JsonTokenType.EndObject && _reader.CurrentDepth == _depth)
        {
            return false;
        }

        return _reader.TokenType == JsonTokenType.PropertyName ? true : throw new JsonException();
    }

    /// <summary>Whether the field has this name; <paramref name="number"/> tells the object's fields apart (0 to 63).</summary>
    public bool Is(ReadOnlySpan<byte> name, int number)
    {
        if (!_reader.ValueTextEquals(name))
        {
            return false;
        }

        if ((_seen & (1UL << number)) != 0)
        {
            throw new JsonException("a field stands twice");
        }

        _seen |= 1UL << number;
        return Advance();
    }

    /// <summary>Whether the field with this number was there.</summary>
    public readonly bool Has(int number) => (_seen & (1UL << number)) != 0;

    /// <summary>Leaves the field aside.</summary>
    public void Skip()
    {
        Advance();
        _reader.Skip();
    }

    /// <summary>The value as a text of at most <paramref name="bytesMax"/> bytes.</summary>
    public string Text(int bytesMax)
    {
        var written = _reader.ValueSpan.Length;
        if (_reader.TokenType != JsonTokenType.String || written > (long)bytesMax * EscapeMax)
        {
            throw new JsonException("not a text, or too long");
        }

        // What is escaped counts as what it means: we write some characters in six bytes ourselves.
        var text = _reader.GetString()!;
        return written <= bytesMax || Encoding.UTF8.GetByteCount(text) <= bytesMax ? text : throw new JsonException("too long");
    }

    /// <summary>The value as a node's name.</summary>
    public string Name()
    {
        var name = Text(NodeName.LengthMax);
        return NodeName.IsValid(name) ? name : throw new JsonException("not a node's name");
    }

    /// <summary>The value as a whole number.</summary>
    public long Integer() => _reader.TryGetInt64(out var value) ? value : throw new JsonException("not a whole number");

    /// <summary>The value as a whole number that is not negative.</summary>
    public long Count() => Integer() is >= 0 and var value ? value : throw new JsonException("negative");

    /// <summary>The value as a whole number of 32 bits that is not negative.</summary>
    public int SmallCount() => Integer() is >= 0 and <= int.MaxValue and var value ? (int)value : throw new JsonException("out of range");

    /// <summary>The value as a number.</summary>
    public double Number() => _reader.TryGetDouble(out var value) && double.IsFinite(value) ? value : throw new JsonException("not a number");

    /// <summary>The value as true or false.</summary>
    public readonly bool Flag() => _reader.TokenType switch
    {
        JsonTokenType.True => true,
        JsonTokenType.False => false,
        _ => throw new JsonException("not true or false"),
    };

    /// <summary>The value as an object of its own.</summary>
    public T? Object<T>(Reading<T> read)
        where T : class
    {
        if (_reader.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException("not an object");
        }

        var fields = new JsonFields(_reader);
        var value = read(ref fields);
        _reader = fields._reader;
        return value;
    }

    private bool Advance() => _reader.Read() ? true : throw new JsonException();

    private bool IsAtEnd() => !_reader.Read();

    /// <summary>Reads an object's fields to their end.</summary>
    public delegate T? Reading<T>(ref JsonFields fields)
        where T : class;
}
