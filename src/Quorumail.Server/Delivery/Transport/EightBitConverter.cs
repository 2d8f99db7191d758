using System.Text;
using MimeKit;

namespace Quorumail.Server.Delivery.Transport;

/// <summary>
/// Makes 7-bit messages of 8-bit ones for next hops without 8BITMIME (RFC 6152 3) by encoding their parts anew. Costs memory and
/// time, so only a few at once and only up to a size. Signatures of converted parts break; that is why there are other options.
/// </summary>
internal sealed class EightBitConverter : IDisposable
{
    /// <summary>Largest message that is converted, in octets: two copies of it are in memory meanwhile.</summary>
    public const int SizeMax = 32 << 20;

    private const int Concurrency = 2;
    private const int MimeDepthMax = 100;
    private const int LineMax = 76;
    private readonly SemaphoreSlim _places = new(Concurrency);

    /// <summary>Converts a message; null if it can't be done.</summary>
    /// <exception cref="Storage.StorageException">The message can't be read.</exception>
    public async Task<MessageContent?> ConvertAsync(MessageContent content, CancellationToken token)
    {
        if (content.Size > SizeMax)
        {
            return null;
        }

        await _places.WaitAsync(token);
        try
        {
            using var source = new MemoryStream((int)content.Size);
            while (await content.ReadAsync(token) is { IsEmpty: false } piece)
            {
                source.Write(piece.Span);
            }

            source.Position = 0;
            return await Task.Run(() => Convert(source, token), token);
        }
        finally
        {
            _places.Release();
        }
    }

    public void Dispose() => _places.Dispose();

    private static MemoryContent? Convert(MemoryStream source, CancellationToken token)
    {
        try
        {
            var options = ParserOptions.Default.Clone();
            options.MaxMimeDepth = MimeDepthMax;
            using var message = MimeMessage.Load(options, source, persistent: true, token);
            message.Prepare(EncodingConstraint.SevenBit, LineMax);
            var format = FormatOptions.Default.Clone();
            format.NewLineFormat = NewLineFormat.Dos;
            format.EnsureNewLine = true;
            using var output = new MemoryStream((int)source.Length + (int)(source.Length / 2));
            message.WriteTo(format, output, token);
            var converted = output.GetBuffer().AsMemory(0, (int)output.Length);
            return Ascii.IsValid(converted.Span) ? new MemoryContent(converted) : null;
        }
        catch (Exception error) when (error is FormatException or NotSupportedException or InvalidOperationException)
        {
            return null;
        }
    }
}
