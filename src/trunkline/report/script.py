"""The script that draws the figures of a page."""

SCRIPT = """
const figures=JSON.parse(document.getElementById('figures').textContent);
const css=name=>getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// Names are text, of which plotly would make tags; long ones are broken into lines, so that the picture keeps its room.
const plain=s=>s.replace(/&/g,'&amp;').replace(/</g,'&lt;');
const fold=(s,n)=>{const lines=[''];
for(const word of s.split(/(?<=[\\s_.,=/&])/))for(let i=0;i<word.length;i+=n){const piece=word.slice(i,i+n);
if(lines.at(-1)&&(lines.at(-1)+piece).trimEnd().length>n)lines.push('');lines[lines.length-1]+=piece}
return lines.map(plain).join('<br>')};
const words=(values,n)=>Array.isArray(values)?values.map(v=>typeof v==='string'?fold(v,n):v):values;
const axis=(given,grid,named)=>{
const a=Object.assign({automargin:true,minexponent:6,gridcolor:grid,zerolinecolor:grid},given);
if(typeof a.title==='string')a.title={text:a.title,standoff:8};if(named)a.type='category';return a};
const draw=(place,ink,grid,exact)=>{const {traces:given,layout}=figures[place.dataset.figure];
const width=place.clientWidth,narrow=width<420,n=narrow?16:26;
const named=way=>given.some(t=>Array.isArray(t[way])&&t[way].some(v=>typeof v==='string'));
const rows=words((layout.yaxis||{}).ticktext||[],n),yaxis=Object.assign({},layout.yaxis,rows.length?{ticktext:rows}:{});
const traces=given.map(t=>Object.assign({},t,{x:words(t.x,n),y:words(t.y,n)},t.name?{name:fold(t.name,narrow?40:60)}:{},
t.customdata?{customdata:words(t.customdata,60)}:{}));
const told=given.filter(t=>t.name&&t.showlegend!==false);
const legend='showlegend' in layout?layout.showlegend:told.length>1;
// A column of the legend is as wide as its longest name.
const size=narrow?10:12,longest=Math.max(0,...told.map(t=>Math.min(t.name.length,narrow?40:60)));
const columns=Math.max(1,Math.floor((width-60)/(50+longest*size*.56)));
const names=traces.filter(t=>t.name&&t.showlegend!==false).map(t=>t.name.split('<br>').length);
const lines=legend?Math.ceil(told.length/columns)*Math.max(0,...names):0;
// Rows are evenly spaced, and two long names must not meet.
const tall=rows.map(r=>r.split('<br>').length),row=6+.65*size*Math.max(0,...tall.map((t,i)=>t+(tall[i+1]||t)));
Plotly.react(place,traces,Object.assign({font:{size,color:ink},paper_bgcolor:'rgba(0,0,0,0)',plot_bgcolor:'rgba(0,0,0,0)',
hovermode:'closest',legend:{orientation:'h',y:1.02,yanchor:'bottom',x:0,tracegroupgap:0}},layout,
{width:exact?width:undefined,margin:{l:48,r:16,t:8,b:40},showlegend:legend,height:Math.max(layout.height||280,90+row*rows.length)+lines*(size+8),
xaxis:axis(layout.xaxis,grid,named('x')),yaxis:axis(yaxis,grid,named('y'))}),
{responsive:true,displayModeBar:false})};
const places=[...document.querySelectorAll('.plot')];
const screen=()=>places.forEach(place=>draw(place,css('--ink'),css('--line')));
screen();
// Drawn anew as wide as a sheet of paper, and black, before the browser lays it out.
const paper=on=>document.documentElement.classList.toggle('paper',on);
addEventListener('beforeprint',()=>{paper(true);places.forEach(place=>draw(place,'#000','#bbb',true))});
addEventListener('afterprint',()=>{paper(false);screen();places.forEach(place=>Plotly.Plots.resize(place))});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change',screen);
"""
