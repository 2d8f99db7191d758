namespace Quorumail.Fuzz;

/// <summary>Makes hostile input out of good input. The same seed makes the same inputs.</summary>
internal sealed class Mutator(int seed, byte[][] corpus, byte[][] dictionary)
{
    private const int LengthMax = 64 * 1024;

    private readonly Random _random = new(seed);

    /// <summary>The next input.</summary>
    public byte[] Next()
    {
        var input = new List<byte>(corpus[_random.Next(corpus.Length)]);
        for (var rounds = _random.Next(1, 8); rounds > 0; rounds--)
        {
            Mutate(input);
        }

        return [.. input.Take(LengthMax)];
    }

    private void Mutate(List<byte> input)
    {
        var at = _random.Next(input.Count + 1);
        var length = Math.Min(_random.Next(1, 16), input.Count - at);
        switch (_random.Next(7))
        {
            case 0:
                input.Insert(at, (byte)_random.Next(256));
                break;
            case 1:
                input.RemoveRange(at, length);
                break;
            case 2 when at < input.Count:
                input[at] ^= (byte)(1 << _random.Next(8));
                break;
            case 3:
                input.InsertRange(at, dictionary[_random.Next(dictionary.Length)]);
                break;
            case 4:
                input.InsertRange(at, input.GetRange(at, length));
                break;
            case 5:
                var other = corpus[_random.Next(corpus.Length)];
                input.InsertRange(at, other.AsSpan(_random.Next(other.Length)).ToArray());
                break;
            default:
                input.InsertRange(at, Enumerable.Repeat((byte)_random.Next(256), 1 << _random.Next(13)));
                break;
        }
    }
}
